/**
 * The hunt for canaries: evaluators that are wrong on purpose (test/law/canary.ts) are asked what the kernel was asked, until each has
 * contradicted it once. A canary that lives would be a mistake which the kernel test does not look for.
 */
import { UnknownName, type Session, type World } from '../../src/model/evaluator.ts';
import type { Flow, Packet } from '../../src/model/flow.ts';
import { Reason, VERDICT_NAMES } from '../../src/model/verdict.ts';
import { type Canary, canaries } from '../law/canary.ts';

/** What was asked of the kernel, and what it said. */
export type Question =
  | { readonly kind: 'flows'; readonly name: string; readonly world: World; readonly asked: readonly Asked<Flow>[] }
  | {
      readonly kind: 'packets';
      readonly name: string;
      readonly world: World;
      readonly asked: readonly Asked<Packet>[];
    };

/** One packet with the kernel's answer: `allow` or `deny`, and for a tracked one also `established`, `related`, `invalid-state`. */
export interface Asked<T extends Flow> {
  readonly packet: T;
  readonly said: string;
}

/** A hunt under way. */
export interface Hunt {
  /** Asks the canaries that live. */
  ask(question: Question): void;
  /** Would one of them be caught, if the kernel said what the question holds as its answers? */
  wouldCatch(question: Question): boolean;
  /** Canaries that live and could have been caught by questions of this kind. */
  alive(kind: Question['kind']): string[];
  /** A line for each canary. */
  report(kind: Question['kind']): string[];
}

/** Clusters that are looked through for those in which a canary shows. The rarest shows in one of some hundred. */
export const MOST_LOOKED_AT = 5000;

/** Canaries asked of one world. More worlds catch more than longer ones. */
const MOST_ASKED = 400;

/**
 * Mistakes about what the lab does not have, by canary. A packet through two veth pairs meets no Service, no node of its own, no
 * neighbour discovery, and the lab's clocks do not move on: these are left to laws and scenarios.
 */
const NOT_IN_THE_LAB: Readonly<Record<string, string>> = {
  'hostNetwork pods are selected': 'no pod of the lab uses the network of its node',
  'addresses of pod blocks are outside': 'the lab has no nodes',
  'a Service is judged on its own port': 'the lab translates nothing',
  'the address of a Service is left as it is': 'the lab translates nothing',
  'EndpointSlices are ignored': 'the lab translates nothing',
  'a pod behind its own Service is let through': 'the lab translates nothing',
  'one backend that is allowed is enough': 'the lab translates nothing',
  'the own node is denied': 'the lab has no nodes',
  'neighbour discovery is judged': 'routers answer it, and do not forward it',
  'what is not known is allowed': 'the kernel knows everything',
  'what is not known is denied': 'the kernel knows everything',
  'connections never end by time': 'nothing expires while a round lasts',
};

/** Begins a hunt for all canaries. */
export function createHunt(): Hunt {
  const caught = new Map<string, string>();
  const huntable = (kind: Question['kind']): Canary[] =>
    canaries.filter(({ shows, evaluator }) => shows === kind && NOT_IN_THE_LAB[evaluator.name] === undefined);
  /** Canaries that live and contradict the answers of a question: name -> where. */
  function* contradictions({ kind, name, world, asked }: Question): Generator<[string, string]> {
    const some = asked.slice(0, MOST_ASKED);
    for (const { evaluator } of huntable(kind)) {
      if (caught.has(evaluator.name)) continue;
      const found = answersOf(evaluator.load(world), kind, some);
      const at = some.findIndex(({ said }, index) => said !== found[index]);
      if (at >= 0) yield [evaluator.name, `${name}, packet ${at}: kernel ${some[at]!.said}, canary ${found[at]}`];
    }
  }
  return {
    ask(question) {
      for (const [name, where] of contradictions(question)) caught.set(name, where);
    },
    wouldCatch: (question) => contradictions(question).next().done !== true,
    alive: (kind) =>
      huntable(kind)
        .map(({ evaluator }) => evaluator.name)
        .filter((name) => !caught.has(name)),
    report: (kind) =>
      canaries
        .filter(({ shows }) => shows === kind)
        .map(({ evaluator: { name } }) => {
          const why = NOT_IN_THE_LAB[name];
          return `${name}: ${caught.get(name) ?? (why === undefined ? 'ALIVE' : `not asked, ${why}`)}`;
        }),
  };
}

/** A decision in the kernel's words. */
export function wordOf({ verdict, egress }: { readonly verdict: number; readonly egress: number }): string {
  if (egress === Reason.Established) return 'established';
  if (egress === Reason.Related) return 'related';
  if (egress === Reason.InvalidState) return 'invalid-state';
  return VERDICT_NAMES[verdict]!;
}

function answersOf(session: Session, kind: Question['kind'], asked: readonly Asked<Flow>[]): string[] {
  if (kind === 'packets') return session.judgePackets!(asked.map(({ packet }) => packet as Packet)).map(wordOf);
  return asked.map(({ packet }) => {
    try {
      return VERDICT_NAMES[session.judge(packet).verdict]!;
    } catch (error) {
      if (error instanceof UnknownName) return 'unknown name';
      throw error;
    }
  });
}
