/**
 * One trial of a differential run: a world, packets, and what two evaluators say of them. A subject is whatever is put beside the
 * oracle: an evaluator of this process, or a foreign program (foreign.ts). run.ts draws trials, reduce.ts makes them small.
 */
import * as fc from 'fast-check';
import { NAMESPACE_NAME_LABEL } from '../model/label.ts';
import type { Dialect } from '../model/dialect.ts';
import { type Evaluator, type Session, UnknownName, type World } from '../model/evaluator.ts';
import type { Decision, Flow, Packet } from '../model/flow.ts';
import { isGoverned, type Namespace, type Pod, type Snapshot } from '../model/cluster.ts';
import { PORT_PROTOCOLS } from '../model/port.ts';
import { Verdict } from '../model/verdict.ts';
import { arbitraryCase } from './arbitrary-flow.ts';
import { arbitraryPacketCase } from './arbitrary-packet.ts';

/** A world and packets to ask in it; `tracked`: one stream through connection tracking, else each alone. */
export interface Trial {
  readonly world: World;
  readonly packets: readonly Packet[];
  readonly mode: 'alone' | 'tracked';
}

/** What a subject says of one packet; a foreign one gives a verdict without reasons, or no answer and the reason for that. */
export type Answer =
  | ({ readonly kind: 'decision' } & Decision)
  | { readonly kind: 'verdict'; readonly verdict: Verdict }
  | { readonly kind: 'unknown-name' }
  | { readonly kind: 'refused'; readonly why: string };

/** An evaluator under test. `ask` answers every packet in order; it rejects where there is nobody left to answer. */
export interface Subject {
  readonly name: string;
  ask(trial: Trial): Promise<readonly Answer[]>;
}

/** An evaluator of this process as a subject. */
export function subjectOf(evaluator: Evaluator): Subject {
  let loaded: { readonly world: World; readonly session: Session } | undefined;
  return {
    name: evaluator.name,
    ask(trial) {
      if (loaded?.world !== trial.world) loaded = { world: trial.world, session: evaluator.load(trial.world) };
      return Promise.resolve(answersOf(loaded.session, trial));
    },
  };
}

/** Everything that the model can say in NetworkPolicies: names, Services, any dialect, unknown facts, tracked streams. */
export function arbitraryTrial(): fc.Arbitrary<Trial> {
  const options = { tiers: 'networkpolicy', dialect: 'any' } as const;
  return fc.oneof(
    { weight: 3, arbitrary: arbitraryCase(options, 40).map(({ world, flows }) => aloneTrial(world, flows)) },
    {
      weight: 1,
      arbitrary: arbitraryPacketCase({ ...options, dialect: 'default' }, 30).map((drawn): Trial => ({
        ...drawn,
        mode: 'tracked',
      })),
    },
  );
}

/**
 * What every evaluator of NetworkPolicies should know: pods, nodes and namespaces, all of them listed; addresses as the policy
 * point sees them, TCP, UDP or SCTP with a port. No Services, host ports, workloads without pods, or live pods that share an address.
 */
export function arbitraryPlainTrial(dialect: Dialect): fc.Arbitrary<Trial> {
  return arbitraryCase({ tiers: 'networkpolicy', dialect: 'default' }, 60).map(({ world, flows }) => {
    const plain = { ...world, dialect, snapshot: plainSnapshot(world) };
    return aloneTrial(
      plain,
      flows.flatMap((flow) => plainFlow(flow, plain.snapshot)),
    );
  });
}

/** Whether a world keeps what `arbitraryPlainTrial` promises, which a reduction must not break. */
export function isPlain({ snapshot, policies }: World): boolean {
  const held = snapshot.pods.filter(isGoverned).flatMap(({ addresses }) => addresses);
  return new Set(held).size === held.length && unlistedNamespaces(snapshot, policies).length === 0;
}

/** Index of the first packet on which the answers differ; -1: none does. Without a verdict on either side there is nothing to compare. */
export function findDifference(expected: readonly Answer[], found: readonly Answer[]): number {
  return expected.findIndex((one, index) => differs(one, found[index]!));
}

/** What decides whether a smaller trial still shows the same disagreement. */
export function answerKey(answer: Answer): string {
  return 'verdict' in answer ? String(answer.verdict) : answer.kind;
}

/** True where both gave a verdict that can be held against the other's. */
export function isComparable(expected: Answer, found: Answer): boolean {
  if (found.kind === 'refused' || expected.kind === 'refused') return false;
  if (found.kind !== 'verdict') return true;
  return found.verdict !== Verdict.Undecidable && 'verdict' in expected && expected.verdict !== Verdict.Undecidable;
}

function differs(expected: Answer, found: Answer): boolean {
  if (!isComparable(expected, found)) return false;
  if (expected.kind === 'decision' && found.kind === 'decision')
    return (
      expected.verdict !== found.verdict ||
      expected.egress !== found.egress ||
      expected.ingress !== found.ingress ||
      expected.missing !== found.missing
    );
  return answerKey(expected) !== answerKey(found);
}

function answersOf(session: Session, { packets, mode }: Trial): Answer[] {
  if (mode === 'alone') return packets.map((packet) => guard(() => [session.judge(packet)])[0]!);
  if (session.judgePackets === undefined) return packets.map(() => ({ kind: 'refused', why: 'it tracks nothing' }));
  const answers = guard(() => session.judgePackets!(packets));
  return packets.map((_, index) => answers[index] ?? answers[0]!);
}

function guard(judge: () => readonly Decision[]): Answer[] {
  try {
    return judge().map(({ verdict, egress, ingress, missing }) => ({
      kind: 'decision',
      verdict,
      egress,
      ingress,
      missing,
    }));
  } catch (error) {
    if (error instanceof UnknownName) return [{ kind: 'unknown-name' }];
    throw error;
  }
}

function aloneTrial(world: World, flows: readonly Flow[]): Trial {
  return { world, packets: flows.map((flow): Packet => ({ ...flow, timeS: 0 })), mode: 'alone' };
}

function plainSnapshot({ snapshot: { namespaces, nodes, pods }, policies }: World): Snapshot {
  const held = new Set<string>();
  const plain = pods.flatMap((pod): Pod[] => {
    if (pod.isStandIn) return [];
    if (isGoverned(pod)) {
      if (pod.addresses.some((address) => held.has(address))) return [];
      for (const address of pod.addresses) held.add(address);
    }
    return [{ ...pod, ports: pod.ports.map(({ hostPort: _, ...port }) => port) }];
  });
  const missing = unlistedNamespaces({ namespaces, pods: plain }, policies);
  const added = missing.map((name): Namespace => ({ name, labels: new Map([[NAMESPACE_NAME_LABEL, name]]) }));
  return { namespaces: [...namespaces, ...added], nodes, pods: plain, services: [], endpointSlices: [] };
}

function unlistedNamespaces(
  { namespaces, pods }: Pick<Snapshot, 'namespaces' | 'pods'>,
  policies: World['policies'],
): string[] {
  const named = new Set([...pods, ...policies].flatMap(({ namespace }) => namespace ?? []));
  return [...named].filter((name) => !namespaces.some((known) => known.name === name));
}

/** The flow with addresses in the place of names, where it is one that every evaluator knows. */
function plainFlow(flow: Flow, { pods }: Snapshot): Flow[] {
  const hasPort = Object.values(PORT_PROTOCOLS).includes(flow.protocol) && flow.port !== undefined && flow.port > 0;
  const addressesOf = (end: Flow['src']): readonly (Flow['src'] & { kind: 'address' })['address'][] =>
    end.kind === 'address'
      ? [end.address]
      : (pods.find(({ namespace, name }) => namespace === end.namespace && name === end.name)?.addresses ?? []);
  if (!hasPort) return [];
  const sources = addressesOf(flow.src);
  const destinations = addressesOf(flow.dst);
  for (const src of sources)
    for (const dst of destinations)
      if (src.includes(':') === dst.includes(':'))
        return [
          {
            src: { kind: 'address', address: src },
            dst: { kind: 'address', address: dst },
            protocol: flow.protocol,
            port: flow.port!,
          },
        ];
  return [];
}
