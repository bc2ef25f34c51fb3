/** Every tracked scenario file of connection tracking: what both trackers call its packets, without any engine. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TcpFlag, createBatch, createDictionary, type EndpointRef, type Packet } from '../../src/model/flow.ts';
import { parseAddress } from '../../src/model/address.ts';
import { Reason, Verdict } from '../../src/model/verdict.ts';
import { createSlowTracker } from '../../src/oracle/tracker.ts';
import { createTracker } from '../../src/track/tracker.ts';
import { readScenarioFiles } from '../semantics/scenario-file.ts';
import { batchOf, type Row } from './row.ts';

const STATES = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID'];
const LETTERS: readonly (readonly [TcpFlag, string])[] = [
  [TcpFlag.Fin, 'F'],
  [TcpFlag.Syn, 'S'],
  [TcpFlag.Rst, 'R'],
  [TcpFlag.Psh, 'P'],
  [TcpFlag.Ack, 'A'],
  [TcpFlag.Urg, 'U'],
];

describe('both trackers say what the ct-*.txt scenarios expect', () => {
  const files = readScenarioFiles().filter(({ name }) => name.startsWith('ct-'));
  it('there are such files', () => assert.ok(files.length >= 6));
  for (const { name, reading } of files)
    it(name, () => {
      assert.ok(reading.scenario !== undefined, JSON.stringify(reading.diagnostics));
      const { packets, expected, isTracked } = reading.scenario;
      assert.ok(isTracked);
      const dictionary = createDictionary();
      const numberOf = (ref: EndpointRef): [4 | 6, number] => {
        assert.ok(ref.kind === 'address', 'these scenarios name addresses');
        const words = new Uint32Array(4);
        const family = parseAddress(ref.address, words);
        if (family === 6) return [6, dictionary.addresses.intern(words[0]!, words[1]!, words[2]!, words[3]!)];
        return [4, Number(ref.address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0))];
      };
      const rows: Row[] = [];
      const fast = createTracker({});
      const slow = createSlowTracker();
      const batch = createBatch(1);
      packets.forEach((packet, i) => {
        const row = rowOf(packet, numberOf, rows);
        rows.push(row);
        batchOf(row, batch);
        const found = STATES[fast.track(batch, 0)];
        const { verdict, egress } = expected[i]!;
        assert.equal(found, stateOf(egress), `packet ${i + 1}`);
        assert.equal(slow.track(batch, 0).state, found, `packet ${i + 1}, slow tracker`);
        if (found !== 'NEW' || verdict !== Verdict.Deny) return;
        fast.drop();
        slow.drop();
      });
    });
});

function stateOf(reason: Reason | undefined): string {
  if (reason === Reason.Established) return 'ESTABLISHED';
  if (reason === Reason.Related) return 'RELATED';
  return reason === Reason.InvalidState ? 'INVALID' : 'NEW';
}

function rowOf(packet: Packet, numberOf: (ref: EndpointRef) => [4 | 6, number], rows: readonly Row[]): Row {
  const [family, src] = numberOf(packet.src);
  const { tcpFlags } = packet;
  return {
    protocol: packet.protocol,
    family,
    src,
    dst: numberOf(packet.dst)[1],
    srcPort: packet.srcPort ?? -1,
    dstPort: packet.port ?? -1,
    timeS: packet.timeS,
    ...(packet.icmp !== undefined && { icmp: packet.icmp }),
    ...(tcpFlags !== undefined && {
      flags: LETTERS.flatMap(([bit, letter]) => (tcpFlags & bit ? [letter] : [])).join(''),
    }),
    quote: packet.quotes === undefined ? undefined : rows[packet.quotes],
  };
}
