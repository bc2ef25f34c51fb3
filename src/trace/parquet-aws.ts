/** AWS VPC flow logs as Parquet: the fields of the text records as columns, and the same rules. */
import { RecordedVerdict } from '../model/flow.ts';
import { Protocol } from '../model/port.ts';
import { addMalformed, increment, noteSource } from './account.ts';
import { isAwsHeader, normaliseField } from './aws-vpc-field.ts';
import { AWS_LIMITS, AwsVpcRecords, NO_OBSERVER } from './aws-vpc.ts';
import { fieldSourcesOf } from './field-source.ts';
import type { ReadContext } from './format.ts';
import { INVALID, IPV6_BASE, parseField, UNKNOWN, Field } from './mapped-row.ts';
import type { Assembler, Column } from './parquet.ts';
import type { LaneSpec } from './parquet-lane.ts';

/** Lanes in the order of `NAMES`. */
const enum Role {
  Status = 0,
  Src = 1,
  Dst = 2,
  PacketSrc = 3,
  PacketDst = 4,
  SrcPort = 5,
  DstPort = 6,
  Protocol = 7,
  Packets = 8,
  Bytes = 9,
  Start = 10,
  Flags = 11,
  Action = 12,
  Interface = 13,
}

const NAMES: readonly string[] = [
  'log-status',
  'srcaddr',
  'dstaddr',
  'pkt-srcaddr',
  'pkt-dstaddr',
  'srcport',
  'dstport',
  'protocol',
  'packets',
  'bytes',
  'start',
  'tcp-flags',
  'action',
  'interface-id',
];

/** Greatest numbers of the lanes that are numbers; 0: words or addresses. */
const LIMITS: readonly number[] = [
  0,
  0,
  0,
  0,
  0,
  65_535,
  65_535,
  255,
  Number.MAX_SAFE_INTEGER,
  Number.MAX_SAFE_INTEGER,
  0xffff_ffff,
  255,
  0,
  0,
];

const NO_DATA = 1;
const SKIP_DATA = 2;

/** True for the columns of a flow log, in the spelling with hyphens or with underscores. */
export function isAwsTable(columns: readonly Column[]): boolean {
  const names = columns.map(({ name }) => normaliseField(name));
  return (
    isAwsHeader(names) &&
    names.some((name) => name === 'srcaddr' || name === 'pkt-srcaddr') &&
    names.some((name) => name === 'interface-id' || name === 'log-status' || name === 'account-id')
  );
}

/** Rows as the reader of the text makes them. */
export function createAwsAssembler(context: ReadContext, columns: readonly Column[]): Assembler {
  const { account, dictionary } = context;
  const records = new AwsVpcRecords(context, undefined);
  records.setFields(columns.map(({ name }) => normaliseField(name)));
  for (const limit of AWS_LIMITS) if (!account.limits.includes(limit)) account.limits.push(limit);
  const words: Readonly<Partial<Record<Role, (text: string) => number>>> = {
    [Role.Status]: (text) => (text === 'NODATA' ? NO_DATA : text === 'SKIPDATA' ? SKIP_DATA : 0),
    [Role.Action]: (text) =>
      text === 'ACCEPT' ? RecordedVerdict.FirewallAllow : text === 'REJECT' ? RecordedVerdict.FirewallDeny : UNKNOWN,
    // Any number per interface will do: this one counts them.
    [Role.Interface]: (text) => dictionaryOf(interfaces, text),
  };
  const interfaces = new Map<string, number>();
  const places: number[] = [];
  const lanes: LaneSpec[] = [];
  for (const [field, source] of Object.entries(fieldSourcesOf('aws-vpc'))) noteSource(account, field, source);
  for (const [role, name] of NAMES.entries()) {
    const column = columns.find((one) => normaliseField(one.name) === name);
    places.push(column === undefined ? -1 : lanes.length);
    if (column === undefined) continue;
    const limit = LIMITS[role]!;
    const word = words[role as Role];
    const parseNumber = (value: number): number =>
      Number.isNaN(value) ? NaN : Number.isInteger(value) && value >= 0 && value <= limit ? value : INVALID;
    lanes.push({
      name,
      columns: [column.name],
      isWord: role === (Role.Action as number),
      memo: new Map(),
      parse: ([text]) => {
        if (text === undefined || text === '' || text === '-') return NaN;
        if (word !== undefined) return word(text);
        return limit > 0 ? parseNumber(Number(text)) : parseField(Field.Src, text, dictionary, undefined);
      },
      ...(limit > 0 && {
        parseNumber:
          column.isTime && role === (Role.Start as number) ? (value) => Math.floor(value / 1e6) : parseNumber,
      }),
    });
  }
  const { src, dst } = records;
  const reject = (number: number, name: string, text: string): void => {
    const place = { unit: 'record', number, offset: 0 } as const;
    addMalformed(account, 'invalid-field', place, `${name}: found ${text}`);
  };
  return {
    lanes,
    take(data, row, number) {
      const at = (role: Role): number => {
        const place = places[role]!;
        return place < 0 ? NaN : data[place]!.values[row]!;
      };
      const status = at(Role.Status);
      if (status === NO_DATA) return increment(account.skipped, 'no-data');
      if (status === SKIP_DATA) {
        account.lost++;
        return increment(account.skipped, 'skip-data');
      }
      for (let lane = 0; lane < data.length; lane++)
        if (data[lane]!.values[row] === INVALID)
          return reject(number, lanes[lane]!.name, data[lane]!.invalid.get(row) ?? 'something else');
      let from = at(Role.PacketSrc);
      if (Number.isNaN(from)) from = at(Role.Src);
      let to = at(Role.PacketDst);
      if (Number.isNaN(to)) to = at(Role.Dst);
      if (Number.isNaN(from) && Number.isNaN(to)) return increment(account.skipped, 'no-endpoint');
      const family = from < IPV6_BASE ? 4 : 6;
      if (Number.isNaN(from) || Number.isNaN(to) || family !== (to < IPV6_BASE ? 4 : 6))
        return reject(number, 'srcaddr and dstaddr', 'no two addresses of one family');
      src.family = dst.family = family;
      src.value = family === 4 ? from : from - IPV6_BASE;
      dst.value = family === 4 ? to : to - IPV6_BASE;
      const observer = at(Role.Interface);
      records.append(
        or(at(Role.Protocol), Protocol.Unknown),
        or(at(Role.SrcPort), -1),
        or(at(Role.DstPort), -1),
        or(at(Role.Packets), -1),
        or(at(Role.Bytes), -1),
        or(at(Role.Start), -1),
        or(at(Role.Flags), -1),
        or(at(Role.Action), RecordedVerdict.None),
        or(observer, NO_OBSERVER),
        number,
      );
    },
  };
}

function dictionaryOf(table: Map<string, number>, text: string): number {
  const id = table.get(text) ?? table.size;
  table.set(text, id);
  return id;
}

function or(value: number, absent: number): number {
  return Number.isNaN(value) ? absent : value;
}
