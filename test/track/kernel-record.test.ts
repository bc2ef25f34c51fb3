/**
 * What Linux 6.18 said of single packets, recorded once per sequence (`npm run test:kernel` asks it afresh). A line is
 * one packet: end that sends (a opened, b answers, c a third party), what it is, and ct state; a trailing `drop` says
 * that policy dropped it. Both trackers must agree with the record.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createBatch } from '../../src/model/flow.ts';
import { createSlowTracker } from '../../src/oracle/tracker.ts';
import { createTracker } from '../../src/track/tracker.ts';
import { batchOf, type Row } from './row.ts';

const STATES = ['new', 'established', 'related', 'invalid'];
const HOSTS: Readonly<Record<string, number>> = { a: 0x0a4d0102, b: 0x0a4d0202, c: 0x0a4f0909 };

interface Sequence {
  readonly name: string;
  readonly isTcpLoose?: boolean;
  readonly lines: string;
}

const OPEN = 'a S new\nb SA established\na A established\n';

const SEQUENCES: readonly Sequence[] = [
  {
    name: 'a TCP connection opens, closes in order, and reopens in TIME_WAIT',
    lines: `${OPEN}a PA established\nb A established\nb PA established\na A established
a FA established\nb A established\nb FA established\na A established\na S new`,
  },
  {
    name: 'a SYN that policy drops leaves nothing',
    lines: 'a S new drop\nb SA invalid\na S new\na S new\na A invalid',
  },
  { name: 'an RST as the only answer deletes the entry', lines: 'a S new\nb RA established\nb SA invalid\na S new' },
  {
    name: 'after the server’s RST the entry stays in CLOSE for packets in flight',
    lines: `${OPEN}b R established\na A established`,
  },
  { name: 'mid-stream pick-up makes the sender the originator', lines: 'a A new\nb PA established\na A established' },
  { name: 'a server’s data, first seen and dropped, leaves the next ACK new', lines: 'b PA new drop\na A new' },
  { name: 'without loose pick-up a mid-stream ACK is invalid', isTcpLoose: false, lines: 'a A invalid\na PA invalid' },
  {
    name: 'flags that cannot begin a connection',
    lines:
      'a SA invalid\na FA invalid\na R invalid\na RA invalid\na - invalid\na F invalid\na SF invalid\na FPU invalid\na SR invalid',
  },
  { name: 'SYN with PSH begins one', lines: 'a SP new' },
  { name: 'SYN with URG begins one', lines: 'a SU new' },
  {
    name: 'simultaneous open',
    lines: 'a S new\nb S established\na SA established\nb SA established\na A established\nb A established',
  },
  {
    name: 'a SYN inside an established connection is let by, the server’s is not',
    lines: `${OPEN}a S established\nb A established\nb S invalid`,
  },
  { name: 'a SYN after the same side’s RST is new', lines: `${OPEN}a R established\na S new` },
  {
    name: 'the server may reopen in TIME_WAIT, with the roles swapped',
    lines: `${OPEN}a FA established\nb FA established\na A established\nb S new drop`,
  },
  {
    name: 'UDP is new until answered',
    lines:
      'a udp new\na udp new\nb udp established\na udp established\nb udp established\n@2.2 a udp established\nb udp established',
  },
  {
    name: 'ICMP echo is new until answered, and identified by its id',
    lines: `a icmp:8:7 new\na icmp:8:7 new\nb icmp:0:7 established\nb icmp:0:7 established\na icmp:8:7 established
b icmp:0:8 invalid\nb icmp:8:9 new\na icmp:13:5 new drop\nb icmp:14:5 invalid\nb icmp:5:0 invalid`,
  },
  {
    name: 'ICMP errors are related only on the way back, from anyone',
    lines: `a udp new\nb error:3:1 related\nb error:3:1 related\nc error:3:1 related\nc error:11:1 related
a udp2 new drop\nb error:3:6 invalid\na error:3:1 invalid\na S new\nb error:3:9 related\nb SA established
a error:3:11 related\na icmp:8:33 new\nc error:3:13 related\nc error:5:13 related\nc error:4:13 related\nc error:12:13 related`,
  },
  {
    name: 'CT-50, CT-51, CT-52: SCTP opens, carries data with the right tag, and shuts down',
    lines: `a sctp:0:5 invalid\na sctp:1:0:1111 new\nb sctp:2:1111:2222 established\na sctp:10:2222 established
b sctp:11:1111 established\na sctp:0:2222 established\na sctp:0:9999 invalid\na sctp:7:2222 established
b sctp:8:1111 established\na sctp:14:2222 established`,
  },
  { name: 'an SCTP heartbeat on a new path is new', lines: 'a sctp:4:2222 new' },
  {
    name: 'an unknown protocol is new until answered',
    lines: 'a proto:253 new\nb proto:253 established\na proto:253 established\na proto:254 new drop',
  },
];

describe('the trackers say what Linux 6.18 said', () => {
  for (const { name, isTcpLoose = true, lines } of SEQUENCES)
    it(name, () => {
      const fast = createTracker({ isTcpLoose });
      const slow = createSlowTracker({ isTcpLoose });
      const batch = createBatch(1);
      const sent: Row[] = [];
      let timeS = 0;
      for (const line of lines.split('\n')) {
        const words = line.split(' ');
        if (words[0]!.startsWith('@')) timeS += Number(words.shift()!.slice(1));
        const [end, what, expected, verdict] = words;
        const row = rowOf(end!, what!, sent);
        sent.push(row);
        batchOf({ ...row, timeS }, batch);
        const found = STATES[fast.track(batch, 0)];
        assert.equal(found, expected, `${line} (packet ${sent.length})`);
        assert.equal(slow.track(batch, 0).state.toLowerCase(), expected, `${line} (slow tracker)`);
        if (verdict !== 'drop') continue;
        fast.drop();
        slow.drop();
      }
    });
});

function rowOf(end: string, what: string, sent: readonly Row[]): Row {
  const isReply = end !== 'a';
  const [kind, first = '', second = '', third = ''] = what.split(':');
  const ends = { src: HOSTS[end]!, dst: HOSTS[isReply ? 'a' : 'b']! };
  const ports = (client: number, server: number): { srcPort: number; dstPort: number } =>
    isReply ? { srcPort: server, dstPort: client } : { srcPort: client, dstPort: server };
  switch (kind) {
    case 'udp':
      return { protocol: 17, ...ends, ...ports(50_000, 53) };
    case 'udp2':
      return { protocol: 17, ...ends, ...ports(50_000, 54) };
    case 'icmp':
      return { protocol: 1, ...ends, icmp: Number(first) << 8, srcPort: Number(second) };
    case 'error':
      return { protocol: 1, ...ends, icmp: Number(first) << 8, quote: sent[Number(second) - 1]! };
    case 'sctp': {
      const tags = { tag: Number.parseInt(second, 16), initTag: Number.parseInt(third || '0', 16) };
      return { protocol: 132, ...ends, ...ports(6000, 7000), chunks: [Number(first)], ...tags };
    }
    case 'proto':
      return { protocol: Number(first), ...ends };
    default:
      return { protocol: 6, ...ends, ...ports(40_000, 80), flags: what === '-' ? '' : what };
  }
}
