/**
 * Judgement of one connection in one Program: the quick way for addresses, the slow one where a record names somebody, and
 * the explanation of either. Slow answers are kept: names repeat.
 */
import type { Program } from '../compile/program.ts';
import { agree, decide, undecidable } from '../decide/decide.ts';
import { combineExplanations, explainFacts, explainService, explainTranslated } from '../decide/explain.ts';
import { addRulesOf, type RuleHit, rulesOf, rulesOfExplanation } from '../decide/hit.ts';
import { decideService } from '../decide/judge.ts';
import { familyOf } from '../model/address.ts';
import type { Explanation, SideExplanation } from '../model/explanation.ts';
import type { Dictionary } from '../model/flow.ts';
import { MissingFact, packDecision, Reason, Verdict } from '../model/verdict.ts';
import { endpointOf, type Place, type Placer } from './place.ts';

/** A connection as it is judged: from the initiator to the responder. */
export interface Question {
  readonly source: Place;
  readonly destination: Place;
  readonly protocol: number;
  /** -1 none or unknown. */
  readonly port: number;
  readonly icmp: number;
  /** A pod that asked a Service and met itself (DI-05), as the record shows: both places are its address. */
  readonly isHairpin?: true;
}

/** Judges connections in one Program. */
export interface Judge {
  /** The packed decision. Both places must be somebody. */
  judge(question: Question): number;
  /** The rules that decide, of every alternative where there are several. Quick for the question that was judged last. */
  rulesOf(question: Question): readonly RuleHit[];
  /** Adds the same to `into`; keeps no answer about addresses. */
  addRules(question: Question, into: RuleHit[]): void;
  explain(question: Question): Explanation | undefined;
}

/** A slow answer. */
interface Judgement {
  readonly decision: number;
  readonly rules: readonly RuleHit[];
}

/** Slow answers kept before they are thrown away: names repeat, hostile ones need not. */
const MEMO_LIMIT = 100_000;

/** A judge of one Program. */
export function createJudge(program: Program, dictionary: Dictionary, placer: Placer): Judge {
  const memo = new Map<string, Judgement>();
  let last: { readonly question: Question; readonly judgement: Judgement } | undefined;

  const judgeNamed = (question: Question): Judgement => {
    if (last?.question === question) return last.judgement;
    const { source, destination, protocol, port, icmp } = question;
    const path = question.isHairpin ? '>>' : '>';
    const key = `${placeKey(source)}${path}${placeKey(destination)}>${protocol},${port},${icmp}`;
    let judgement = memo.get(key);
    if (judgement === undefined) {
      judgement = judgeSlowly(question);
      if (memo.size >= MEMO_LIMIT) memo.clear();
      memo.set(key, judgement);
    }
    last = { question, judgement };
    return judgement;
  };

  return {
    judge(question) {
      const { source, destination, protocol, port, icmp } = question;
      if (source.kind === 'address' && destination.kind === 'address' && !question.isHairpin) {
        const from = endpointOf(program, dictionary, source.family, source.word);
        const to = endpointOf(program, dictionary, destination.family, destination.word);
        return decide(program, from, to, protocol, port, icmp);
      }
      return judgeNamed(question).decision;
    },
    rulesOf(question) {
      const { source, destination, protocol, port, icmp } = question;
      if (source.kind !== 'address' || destination.kind !== 'address' || question.isHairpin)
        return judgeNamed(question).rules;
      const from = endpointOf(program, dictionary, source.family, source.word);
      const to = endpointOf(program, dictionary, destination.family, destination.word);
      return rulesOf(program, from, to, protocol, port, icmp);
    },
    addRules(question, into) {
      const { source, destination, protocol, port, icmp } = question;
      if (source.kind !== 'address' || destination.kind !== 'address' || question.isHairpin)
        into.push(...judgeNamed(question).rules);
      else {
        const from = endpointOf(program, dictionary, source.family, source.word);
        const to = endpointOf(program, dictionary, destination.family, destination.word);
        addRulesOf(program, from, to, protocol, port, icmp, into);
      }
    },
    explain(question) {
      const explanations = explainAll(question);
      return explanations.length === 0
        ? undefined
        : soften(combineExplanations(explanations, MissingFact.SomePods), question);
    },
  };

  function judgeSlowly(question: Question): Judgement {
    const explanations = explainAll(question).map((each) => soften(each, question));
    return {
      decision: decideSlowly(question, explanations),
      rules: [...new Set(explanations.flatMap((each) => rulesOfExplanation(program, each)))],
    };
  }

  function decideSlowly(question: Question, explanations: readonly Explanation[]): number {
    const { source, destination, protocol, port, icmp } = question;
    if (destination.kind === 'service' && source.kind === 'address') {
      const family = source.family as 4 | 6;
      const from = endpointOf(program, dictionary, source.family, source.word);
      return decideService(
        program,
        from,
        program.source.snapshot.services[destination.index]!,
        family,
        protocol,
        port,
        icmp,
      );
    }
    const decisions = explanations.map(packExplanation);
    return decisions.length === 0
      ? undecidable(MissingFact.TranslatedAddress)
      : decisions.reduce((first, next) => agree(first, next, MissingFact.SomePods));
  }

  function explainAll({ source, destination, protocol, port, icmp, isHairpin }: Question): Explanation[] {
    if (isVague(source) || destination.kind === 'nobody') return [];
    const flow = { protocol, port, icmp };
    const sources = placer.facts(program, source);
    if (destination.kind === 'service') {
      const service = program.source.snapshot.services[destination.index]!;
      return sources.map((from) =>
        explainService(program, from, service, from.address === undefined ? undefined : familyOf(from.address), flow),
      );
    }
    const destinations = placer.facts(program, destination);
    const explainOne = isHairpin ? explainTranslated : explainFacts;
    return sources.flatMap((from) => destinations.map((to) => explainOne(program, from, to, flow)));
  }
}

/** Addresses that may be a node's: what an outside address would be denied, the pod's own node need not be. */
function soften(explanation: Explanation, { source, destination }: Question): Explanation {
  const mayBeNode = source.kind === 'network' || destination.kind === 'network';
  if (!mayBeNode || explanation.verdict !== Verdict.Deny) return explanation;
  const doubt = (side: SideExplanation): SideExplanation =>
    side.verdict === Verdict.Deny
      ? { ...side, verdict: Verdict.Undecidable, reason: Reason.Undecidable, missing: MissingFact.NoAddress }
      : side;
  return {
    ...explanation,
    verdict: Verdict.Undecidable,
    missing: explanation.missing | MissingFact.NoAddress,
    egress: doubt(explanation.egress),
    ingress: doubt(explanation.ingress),
  };
}

function isVague(place: Place): place is Extract<Place, { kind: 'service' | 'nobody' }> {
  return place.kind === 'service' || place.kind === 'nobody';
}

/** An explanation's decision, packed; backends that disagree leave no reason of their own, as decide has it. */
function packExplanation({ verdict, egress, ingress, missing }: Explanation): number {
  return (missing & MissingFact.SomeBackends) === 0
    ? packDecision(verdict, egress.reason, ingress.reason, missing)
    : undecidable(missing);
}

function placeKey(place: Place): string {
  switch (place.kind) {
    case 'address':
      return `a${place.family},${place.word}`;
    case 'pods':
      return `p${place.pods.join('+')},${place.family},${place.word}`;
    case 'described': {
      const { namespace, name, workload, labels, namespaceLabels, areLabelsComplete } = place.fact;
      const fact = [namespace, name, workload, [...(labels ?? [])], [...(namespaceLabels ?? [])], areLabelsComplete];
      return `d${JSON.stringify(fact)},${place.family},${place.word}`;
    }
    case 'service':
      return `s${place.index}`;
    default:
      return place.kind;
  }
}
