/**
 * networking.k8s.io/v1 NetworkPolicy: validation in the API server's words (semantics 1.9), defaulting (1.1) and the neutral form. Rules
 * of a direction that policyTypes leaves out are kept as written: they are dead, and whoever explains the policy can say so.
 */
import type { Direction, Peer, Policy, PodSet, Position, Rule } from '../model/policy.ts';
import type { PortMatch, PortProtocol } from '../model/port.ts';
import { type CidrReading, isStrictSubset, readCidr } from './cidr.ts';
import type { Maybe, RawMeta } from './meta.ts';
import { type Problem, forbidden, invalid, required, unsupported } from './problem.ts';
import { type RawSelector, checkSelector, readSelector } from './selector.ts';
import { type Path, formatPath } from './source.ts';

/** A NetworkPolicy object that has passed its schema. */
export interface RawNetworkPolicy {
  readonly metadata?: Maybe<RawMeta>;
  readonly spec?: Maybe<{
    readonly podSelector?: Maybe<RawSelector>;
    readonly policyTypes?: Maybe<readonly Maybe<string>[]>;
    readonly ingress?: Maybe<readonly Maybe<RawRule>[]>;
    readonly egress?: Maybe<readonly Maybe<RawRule>[]>;
  }>;
}

interface RawRule {
  readonly from?: Maybe<readonly Maybe<RawPeer>[]>;
  readonly to?: Maybe<readonly Maybe<RawPeer>[]>;
  readonly ports?: Maybe<readonly Maybe<RawPort>[]>;
}

interface RawPeer {
  readonly podSelector?: Maybe<RawSelector>;
  readonly namespaceSelector?: Maybe<RawSelector>;
  readonly ipBlock?: Maybe<{ readonly cidr?: Maybe<string>; readonly except?: Maybe<readonly Maybe<string>[]> }>;
}

interface RawPort {
  readonly protocol?: Maybe<string>;
  readonly port?: Maybe<number | string>;
  readonly endPort?: Maybe<number>;
}

/** How CIDRs are judged, and what an update may keep. */
export interface PolicyCheckOptions {
  readonly cidr: CidrReading;
  /** The object that this one updates: its CIDR texts are exempt from the strict reading, its name may not change. */
  readonly previous?: RawNetworkPolicy;
}

const PROTOCOLS: readonly PortProtocol[] = ['TCP', 'UDP', 'SCTP'];
const RANGE_TEXT = 'must be between 1 and 65535, inclusive';

/** RD-08: everything that the API server would refuse, and its warnings, in the order of the fields. Metadata is checked elsewhere. */
export function checkNetworkPolicy(policy: RawNetworkPolicy, options: PolicyCheckOptions): Problem[] {
  const problems: Problem[] = [];
  const { spec } = policy;
  const check: Check = {
    problems,
    options,
    exempt: options.previous === undefined ? new Set() : cidrTexts(options.previous),
  };
  if (options.previous !== undefined) {
    const name = policy.metadata?.name ?? '';
    if (name !== (options.previous.metadata?.name ?? ''))
      problems.push(invalid(['metadata', 'name'], name, 'field is immutable'));
  }
  checkSelector(spec?.podSelector, ['spec', 'podSelector'], problems);
  for (const direction of ['ingress', 'egress'] as const)
    for (const [index, rule] of (spec?.[direction] ?? []).entries())
      checkRule(check, rule, ['spec', direction, index], direction === 'ingress' ? 'from' : 'to');
  checkPolicyTypes(spec?.policyTypes ?? [], problems);
  return problems;
}

/** The neutral form of a valid policy. `place` gives the position of a path of the object. */
export function readNetworkPolicy(
  policy: RawNetworkPolicy,
  namespace: string,
  name: string,
  place: (path: Path) => Position,
): Policy {
  const spec = policy.spec ?? {};
  const types = (spec.policyTypes ?? []).filter((type) => type !== null);
  // RD-01, RD-02. Defaulting (SetDefaults_NetworkPolicy): a missing and an empty list are the same, and Egress comes only with egress rules.
  const isolates: Direction[] = [];
  if (types.length === 0 || types.includes('Ingress')) isolates.push('ingress');
  if (types.length === 0 ? (spec.egress ?? []).length > 0 : types.includes('Egress')) isolates.push('egress');
  return {
    kind: 'NetworkPolicy',
    namespace,
    name,
    tier: 'networkpolicy',
    priority: 0,
    subject: { namespaces: { kind: 'named', namespace }, pods: readSelector(spec.podSelector) }, // RD-03
    isolates,
    ingress: (spec.ingress ?? []).map((rule, index) =>
      readRule(rule, index, namespace, ['spec', 'ingress', index], 'from', place),
    ),
    egress: (spec.egress ?? []).map((rule, index) =>
      readRule(rule, index, namespace, ['spec', 'egress', index], 'to', place),
    ),
    position: place([]),
  };
}

interface Check {
  readonly problems: Problem[];
  readonly options: PolicyCheckOptions;
  readonly exempt: ReadonlySet<string>;
}

function checkRule(check: Check, rule: Maybe<RawRule>, path: Path, side: 'from' | 'to'): void {
  for (const [index, port] of (rule?.ports ?? []).entries())
    checkPort(port ?? {}, [...path, 'ports', index], check.problems);
  for (const [index, peer] of (rule?.[side] ?? []).entries()) checkPeer(check, peer ?? {}, [...path, side, index]);
}

function checkPort(port: RawPort, path: Path, problems: Problem[]): void {
  const { protocol, port: number, endPort } = port;
  if (protocol !== null && protocol !== undefined && !(PROTOCOLS as readonly string[]).includes(protocol))
    problems.push(unsupported([...path, 'protocol'], protocol, PROTOCOLS));
  const hasEnd = endPort !== null && endPort !== undefined;
  if (typeof number === 'number') {
    if (number < 1 || number > 65535) problems.push(invalid([...path, 'port'], number, RANGE_TEXT));
    if (hasEnd) {
      if (endPort < number)
        problems.push(invalid([...path, 'endPort'], endPort, 'must be greater than or equal to `port`'));
      if (endPort < 1 || endPort > 65535) problems.push(invalid([...path, 'endPort'], endPort, RANGE_TEXT));
    }
  } else if (typeof number === 'string') {
    for (const text of checkPortName(number)) problems.push(invalid([...path, 'port'], number, text));
    if (hasEnd)
      problems.push(invalid([...path, 'endPort'], endPort, 'may not be specified when `port` is non-numeric'));
  } else if (hasEnd)
    problems.push(invalid([...path, 'endPort'], endPort, 'may not be specified when `port` is not specified'));
}

/** IANA service names, as `validation.IsValidPortName` has them. */
function checkPortName(name: string): string[] {
  const errors: string[] = [];
  if (name.length > 15) errors.push('must be no more than 15 characters');
  if (!/^[-a-z0-9]*$/.test(name)) errors.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(name)) errors.push('must contain at least one letter (a-z)');
  if (name.includes('--')) errors.push('must not contain consecutive hyphens');
  if (name.startsWith('-') || name.endsWith('-')) errors.push('must not begin or end with a hyphen');
  return errors;
}

function checkPeer(check: Check, peer: RawPeer, path: Path): void {
  const { problems } = check;
  let count = 0;
  for (const field of ['podSelector', 'namespaceSelector'] as const) {
    if (peer[field] === null || peer[field] === undefined) continue;
    count++;
    checkSelector(peer[field], [...path, field], problems);
  }
  const { ipBlock } = peer;
  if (ipBlock !== null && ipBlock !== undefined) {
    if (count > 0) problems.push(forbidden(path, 'may not specify both ipBlock and another peer'));
    count++;
    const at = [...path, 'ipBlock'];
    const text = ipBlock.cidr ?? '';
    if (text === '') {
      problems.push(required([...at, 'cidr'], ''));
    } else {
      const outer = checkCidr(check, text, [...at, 'cidr']);
      for (const [index, item] of (ipBlock.except ?? []).entries()) {
        const where = [...at, 'except', index];
        const inner = checkCidr(check, item ?? '', where);
        if (outer !== undefined && inner !== undefined && !isStrictSubset(inner, outer))
          problems.push(invalid(where, item, 'must be a strict subset of `cidr`'));
      }
    }
  }
  if (count === 0) problems.push(required(path, 'must specify a peer'));
}

function checkCidr(
  check: Check,
  text: string,
  path: Path,
): NonNullable<ReturnType<typeof readCidr>>['cidr'] | undefined {
  const read = readCidr(text);
  if (read === undefined) {
    check.problems.push({
      ...invalid(path, text, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'),
      code: 'invalid-cidr',
    });
    return undefined;
  }
  if (check.options.cidr === 'strict' && !check.exempt.has(text))
    for (const refusal of read.refusals) check.problems.push({ ...invalid(path, text, refusal), code: 'invalid-cidr' });
  else if (read.warning !== undefined)
    check.problems.push({
      severity: 'warning',
      code: 'non-canonical-cidr',
      path,
      message: `${formatPath(path)}: ${read.warning}`,
      hint: `read as ${read.cidr}`,
    });
  return read.cidr;
}

function checkPolicyTypes(types: readonly Maybe<string>[], problems: Problem[]): void {
  const path = ['spec', 'policyTypes'];
  if (types.length > 2) {
    problems.push(invalid(path, types, 'may not specify more than two policyTypes'));
    return;
  }
  for (const [index, type] of types.entries())
    if (type !== 'Ingress' && type !== 'Egress')
      problems.push(unsupported([...path, index], type ?? '', ['Ingress', 'Egress']));
}

function cidrTexts(policy: RawNetworkPolicy): Set<string> {
  const texts = new Set<string>();
  for (const rule of [...(policy.spec?.ingress ?? []), ...(policy.spec?.egress ?? [])])
    for (const peer of [...(rule?.from ?? []), ...(rule?.to ?? [])])
      for (const text of [peer?.ipBlock?.cidr, ...(peer?.ipBlock?.except ?? [])])
        if (typeof text === 'string') texts.add(text);
  return texts;
}

function readRule(
  rule: Maybe<RawRule>,
  index: number,
  namespace: string,
  path: Path,
  side: 'from' | 'to',
  place: (path: Path) => Position,
): Rule {
  const peers = rule?.[side] ?? [];
  const ports = rule?.ports ?? [];
  return {
    index,
    action: 'Accept',
    // Missing and empty both mean "all" (semantics 1.2).
    peers: peers.length === 0 ? undefined : peers.map((peer) => readPeer(peer ?? {}, namespace)),
    ports: ports.length === 0 ? undefined : ports.map((port) => readPort(port ?? {})),
    position: place(path),
    peerPositions: peers.map((_, at) => place([...path, side, at])),
    portPositions: ports.map((_, at) => place([...path, 'ports', at])),
  };
}

function readPeer(peer: RawPeer, namespace: string): Peer {
  if (peer.ipBlock !== null && peer.ipBlock !== undefined) {
    const cidr = readCidr(peer.ipBlock.cidr ?? '')!.cidr;
    return { kind: 'ipBlock', cidr, except: (peer.ipBlock.except ?? []).map((text) => readCidr(text ?? '')!.cidr) };
  }
  const namespaces: PodSet['namespaces'] =
    peer.namespaceSelector === null || peer.namespaceSelector === undefined
      ? { kind: 'named', namespace }
      : { kind: 'selected', selector: readSelector(peer.namespaceSelector) };
  return { kind: 'pods', namespaces, pods: readSelector(peer.podSelector) };
}

/** RD-04: a missing protocol is TCP, so `ports: [{}]` is every TCP port (SetDefaults_NetworkPolicyPort). */
function readPort(port: RawPort): PortMatch {
  const protocol = (port.protocol ?? 'TCP') as PortProtocol;
  if (typeof port.port === 'string') return { kind: 'named', protocol, name: port.port };
  if (typeof port.port !== 'number') return { kind: 'any', protocol };
  return { kind: 'range', protocol, first: port.port, last: port.endPort ?? port.port };
}
