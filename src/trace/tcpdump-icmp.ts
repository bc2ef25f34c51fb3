/**
 * ICMP as tcpdump words it (print-icmp.c, print-icmp6.c of tcpdump 4.x) -> type, code, identifier, and what an error says of
 * the packet that it is about.
 */
import { parseDigitText } from './field.ts';

/** What a text of tcpdump says. */
export interface IcmpText {
  /** Type << 8 | code, or -1. */
  icmp: number;
  /** Of an echo or time stamp; -1 elsewhere. */
  identifier: number;
  /** An error that is about another packet. */
  isError: boolean;
  /** `udp` and `tcp` of "ADDRESS udp port 4444 unreachable": 17 and 6; else 0. */
  aboutProtocol: number;
  aboutAddress: string;
  aboutPort: number;
}

/** Reads what stands behind `ICMP ` or `ICMP6, `. */
export function readIcmpText(text: string, family: 4 | 6, out: IcmpText): void {
  out.icmp = -1;
  out.identifier = -1;
  out.isError = false;
  out.aboutProtocol = 0;
  out.aboutAddress = '';
  out.aboutPort = -1;
  for (const [start, type, code] of family === 4 ? NAMED_4 : NAMED_6) {
    if (!text.startsWith(start)) continue;
    out.icmp = (type << 8) | code;
    out.isError = family === 4 ? type === 3 || type === 4 || type === 5 || type === 11 || type === 12 : type < 5;
    break;
  }
  if (family === 4 && out.icmp < 0) readUnreachable4(text, out);
  if (family === 6 && out.icmp === UNREACHABLE_PORT_6)
    readAbout(text.slice('destination unreachable, unreachable port, '.length), out);
  const id = text.indexOf(', id ');
  if (!out.isError && id >= 0) {
    const comma = text.indexOf(',', id + 5);
    const value = parseDigitText(text.slice(id + 5, comma < 0 ? undefined : comma));
    if (value <= 0xffff) out.identifier = value;
  }
}

type Named = readonly [start: string, type: number, code: number];

const NAMED_4: readonly Named[] = [
  ['echo request', 8, 0],
  ['echo reply', 0, 0],
  ['time exceeded in-transit', 11, 0],
  ['ip reassembly time exceeded', 11, 1],
  ['source quench', 4, 0],
  ['time stamp query', 13, 0],
  ['time stamp reply', 14, 0],
  ['information request', 15, 0],
  ['information reply', 16, 0],
  ['address mask request', 17, 0],
  ['address mask is', 18, 0],
  ['router advertisement', 9, 0],
  ['router solicitation', 10, 0],
  ['parameter problem', 12, 0],
];

const UNREACHABLE_PORT_6 = (1 << 8) | 4;

const NAMED_6: readonly Named[] = [
  ['echo request', 128, 0],
  ['echo reply', 129, 0],
  ['neighbor solicitation', 135, 0],
  ['neighbor advertisement', 136, 0],
  ['router solicitation', 133, 0],
  ['router advertisement', 134, 0],
  ['redirect', 137, 0],
  ['multicast listener query', 130, 0],
  ['multicast listener report v2', 143, 0],
  ['multicast listener report', 131, 0],
  ['multicast listener done', 132, 0],
  ['destination unreachable, unreachable route', 1, 0],
  ['destination unreachable, unreachable prohibited', 1, 1],
  ['destination unreachable, beyond scope', 1, 2],
  ['destination unreachable, unreachable address', 1, 3],
  ['destination unreachable, unreachable port', 1, 4],
  ['packet too big', 2, 0],
  ['time exceeded in-transit', 3, 0],
  ['ip reassembly time exceeded', 3, 1],
  ['parameter problem, errorneous', 4, 0],
  ['parameter problem, next header', 4, 1],
  ['parameter problem, option', 4, 2],
];

/** `host A unreachable`, `A udp port N unreachable`, `A protocol N unreachable`, `redirect A to host B`, `type-#N`. */
function readUnreachable4(text: string, out: IcmpText): void {
  const unreachable = text.indexOf(' unreachable');
  if (unreachable > 0) {
    out.isError = true;
    const behind = text.slice(unreachable + ' unreachable'.length);
    const isNet = text.startsWith('net ');
    let code = isNet ? 0 : 1;
    if (behind.startsWith(' - need to frag')) code = 4;
    else if (behind.startsWith(' - admin prohibited filter')) code = 13;
    else if (behind.startsWith(' - admin prohibited')) code = isNet ? 9 : 10;
    else if (behind.startsWith(' - tos prohibited')) code = isNet ? 11 : 12;
    else if (behind.startsWith(' - source route failed')) code = 5;
    else if (text.includes(' port ')) code = 3;
    else if (text.includes(' protocol ')) code = 2;
    out.icmp = (3 << 8) | code;
    if (code === 3) readAbout(text, out);
  } else if (text.startsWith('redirect ')) {
    out.isError = true;
    out.icmp = (5 << 8) | (text.includes('-tos') ? 2 : 0) | (text.includes(' host ') ? 1 : 0);
  } else if (text.startsWith('type-#')) {
    const end = text.indexOf(',');
    const type = parseDigitText(text.slice('type-#'.length, end < 0 ? undefined : end));
    if (type >= 0 && type <= 255) out.icmp = type << 8;
  }
}

/** `ADDRESS udp port N`, as far as it is there. */
function readAbout(text: string, out: IcmpText): void {
  const [address = '', protocol, word, port = ''] = text.split(' ', 4);
  const number = parseDigitText(port.endsWith(',') ? port.slice(0, -1) : port);
  if (word !== 'port' || number < 0 || number > 0xffff) return;
  if (protocol !== 'udp' && protocol !== 'tcp') return;
  out.aboutProtocol = protocol === 'udp' ? 17 : 6;
  out.aboutAddress = address;
  out.aboutPort = number;
}
