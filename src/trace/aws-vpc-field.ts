/**
 * The columns of a VPC flow log: their names from a header, a format string or the values themselves, and what each is read for.
 * Names that are not known here are columns all the same: a header may have any.
 */

/** What a column holds, as far as it is asked for. */
export const enum Role {
  None = 0,
  Interface = 1,
  Src = 2,
  Dst = 3,
  PacketSrc = 4,
  PacketDst = 5,
  SrcPort = 6,
  DstPort = 7,
  Protocol = 8,
  Packets = 9,
  Bytes = 10,
  Start = 11,
  Action = 12,
  Status = 13,
  Flags = 14,
  Count = 15,
}

const ROLES: ReadonlyMap<string, Role> = new Map([
  ['interface-id', Role.Interface],
  ['srcaddr', Role.Src],
  ['dstaddr', Role.Dst],
  ['pkt-srcaddr', Role.PacketSrc],
  ['pkt-dstaddr', Role.PacketDst],
  ['srcport', Role.SrcPort],
  ['dstport', Role.DstPort],
  ['protocol', Role.Protocol],
  ['packets', Role.Packets],
  ['bytes', Role.Bytes],
  ['start', Role.Start],
  ['action', Role.Action],
  ['log-status', Role.Status],
  ['tcp-flags', Role.Flags],
]);

/** Field names by `Role`. */
export const ROLE_NAMES: readonly string[] = ['', ...ROLES.keys()];

const DEFAULT_FIELDS =
  'version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status'.split(
    ' ',
  );

/** Every field in the order of AWS's documentation, versions 2, 3, 4, 5, 7, 8, 9 and 10: what "all fields" gives. */
const ALL_FIELDS: readonly string[] = [
  ...DEFAULT_FIELDS,
  ...'vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr'.split(' '),
  ...'region az-id sublocation-type sublocation-id'.split(' '),
  ...'pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path'.split(' '),
  ...'cluster-arn cluster-name container-instance-arn container-instance-id container-id second-container-id service-name task-definition-arn task-arn task-id'
    .split(' ')
    .map((name) => `ecs-${name}`),
  'reject-reason',
  'resource-id',
  'encryption-status',
];

/** How many of them the fields of each version make, by that version. */
const FIELD_COUNTS: ReadonlyMap<number, number> = new Map([
  [2, 14],
  [3, 21],
  [4, 25],
  [5, 29],
  [7, 39],
  [8, 40],
  [9, 41],
  [10, 42],
]);

/** Names that no value is mistaken for; a header may have others too. */
const KNOWN_FIELDS: ReadonlySet<string> = new Set(ALL_FIELDS);

/** `Role` of each column. */
export function rolesOf(names: readonly string[]): Uint8Array {
  return Uint8Array.from(names, (name) => ROLES.get(name) ?? Role.None);
}

/** True where a text is the name of a field, and no value. */
export function isFieldName(text: string): boolean {
  return KNOWN_FIELDS.has(normaliseField(text));
}

/** True for names of which three at least are fields of a flow log. */
export function isAwsHeader(names: readonly string[]): boolean {
  let count = 0;
  for (const name of names) if (KNOWN_FIELDS.has(name)) count++;
  return count >= 3;
}

/** Names as in a format string or a header: `${pkt-srcaddr}`, `pkt_srcaddr` and `pkt-srcaddr` are one. */
export function splitFields(text: string): string[] {
  return text
    .split(/[\s,]/)
    .map((field) => normaliseField(field))
    .filter((field) => field !== '');
}

/** The name of a field as AWS documents it: `${pkt_srcaddr}` and `pkt_srcaddr` are `pkt-srcaddr`. */
export function normaliseField(field: string): string {
  const name = field.startsWith('${') && field.endsWith('}') ? field.slice(2, -1) : field;
  return name.replaceAll('_', '-');
}

/** The fields of a record without a header: what its values are by themselves, else the default of version 2. */
export function guessFields(text: string): readonly string[] {
  return inferFields(text.split(' ').filter((value) => value !== '')) ?? DEFAULT_FIELDS;
}

/**
 * The names of the values, only where they show what they are: all fields of a version in AWS's order, or a few of which each
 * is of a form of its own. Any other number could be anything.
 */
export function inferFields(values: readonly string[]): readonly string[] | undefined {
  const version = Number(values[0]);
  for (const [highest, count] of FIELD_COUNTS)
    if (count === values.length && version >= Math.min(highest, 3) - 1 && hasFormOfAll(values))
      return ALL_FIELDS.slice(0, count);
  if (values.length > 8) return undefined;
  const names: string[] = [];
  for (const value of values) {
    const name = inferField(value, names);
    if (name === undefined || names.includes(name)) return undefined;
    names.push(name);
  }
  return names.includes('interface-id') && names.includes('dstaddr') ? names : undefined;
}

function hasFormOfAll(values: readonly string[]): boolean {
  return values.every((value, index) => value === '-' || hasForm(ALL_FIELDS[index]!, value));
}

/** Whether a value can be one of the field; fields of any form are not asked about. */
function hasForm(name: string, value: string): boolean {
  switch (name) {
    case 'interface-id':
      return value.startsWith('eni-');
    case 'srcaddr':
    case 'dstaddr':
    case 'pkt-srcaddr':
    case 'pkt-dstaddr':
      return isAddressLike(value);
    case 'action':
      return value === 'ACCEPT' || value === 'REJECT';
    case 'log-status':
      return isStatus(value);
    case 'vpc-id':
      return value.startsWith('vpc-');
    case 'subnet-id':
      return value.startsWith('subnet-');
    case 'instance-id':
      return value.startsWith('i-');
    case 'type':
      return value === 'IPv4' || value === 'IPv6' || value === 'EFA';
    case 'flow-direction':
      return value === 'ingress' || value === 'egress';
    case 'srcport':
    case 'dstport':
    case 'protocol':
    case 'packets':
    case 'bytes':
    case 'start':
    case 'end':
    case 'tcp-flags':
    case 'traffic-path':
    case 'version':
      return value.length < 16 && Number.isInteger(Number(value));
    default:
      return true;
  }
}

function inferField(value: string, names: readonly string[]): string | undefined {
  if (value.startsWith('eni-')) return 'interface-id';
  if (isAddressLike(value)) return names.includes('srcaddr') ? 'dstaddr' : 'srcaddr';
  if (value === 'ACCEPT' || value === 'REJECT') return 'action';
  if (isStatus(value)) return 'log-status';
  const version = Number(value);
  return names.length === 0 && version >= 2 && version <= 10 ? 'version' : undefined;
}

function isAddressLike(value: string): boolean {
  return value.includes(':') || value.split('.').length === 4;
}

function isStatus(value: string): boolean {
  return value === 'OK' || value === 'NODATA' || value === 'SKIPDATA';
}
