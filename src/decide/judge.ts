/** judge: one flow in its convenient form, names and all. Resolves, translates, and asks decide. */
import { PortClass, portIndexOf, ServiceTarget } from '../compile/layout.ts';
import type { Program } from '../compile/program.ts';
import type { FlowFamily } from '../compile/service.ts';
import type { Service } from '../model/cluster.ts';
import type { Decision, Flow } from '../model/flow.ts';
import {
  decisionEgress,
  decisionIngress,
  decisionMissing,
  decisionVerdict,
  MissingFact,
  packDecision,
  Reason,
  Verdict,
} from '../model/verdict.ts';
import { headlessMembers } from './backend.ts';
import { agree, decide, decideBackend, decideBackends, findService, undecidable } from './decide.ts';
import { resolvePairs } from './resolve.ts';

/** Judges a flow. Throws `UnknownName` where a name of it means nothing. */
export function judge(program: Program, flow: Flow): Decision {
  const port = flow.port ?? -1;
  const icmp = flow.icmp ?? -1;
  const decisions = resolvePairs(program, flow).map(({ source, destination, family }) =>
    typeof destination === 'number'
      ? decide(program, source, destination, flow.protocol, port, icmp)
      : decideService(program, source, destination, family, flow.protocol, port, icmp),
  );
  return unpackDecision(decisions.reduce((first, next) => agree(first, next, MissingFact.SomePods)));
}

/** A packed decision as an object. */
export function unpackDecision(decision: number): Decision {
  return {
    verdict: decisionVerdict(decision),
    egress: decisionEgress(decision),
    ingress: decisionIngress(decision),
    missing: decisionMissing(decision),
  };
}

/** Decides a flow to a Service that is called by name. */
export function decideService(
  program: Program,
  source: number,
  service: Service,
  family: FlowFamily,
  protocol: number,
  port: number,
  icmp: number,
): number {
  const portIndex = portIndexOf(protocol, port, icmp);
  if (program.portClasses[portIndex] === PortClass.Exempt)
    return packDecision(Verdict.Allow, Reason.DialectExempt, Reason.DialectExempt, 0);
  if (service.type === 'ExternalName') return undecidable(MissingFact.DomainName); // SV-08
  const slot = findService(program, serviceTarget(program, service, family), protocol, port);
  if (slot >= 0) return decideBackends(program, source, slot, protocol);
  const members = service.isHeadless ? headlessMembers(program, service, family, port) : [];
  if (members.length === 0) return undecidable(MissingFact.NoBackend); // SV-05
  // SV-07: the pods' own ports.
  return members
    .map((member) => decideBackend(program, source, member.endpoint, portIndex))
    .reduce((first, next) => agree(first, next, MissingFact.SomeBackends));
}

/** The target under which the service table holds a Service's name. */
export function serviceTarget(program: Program, service: Service, family: FlowFamily): number {
  const base = family === 4 ? ServiceTarget.ByName4 : family === 6 ? ServiceTarget.ByName6 : ServiceTarget.ByName;
  return base + program.source.snapshot.services.indexOf(service);
}
