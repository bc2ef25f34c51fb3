/**
 * The browser's door: model, compile, decide, track and the core of replay. No Node import below it; a test bundles it for
 * the browser and replays in a context without Node's globals. Exports stand in the order of the flow.
 */
export { canonicalAddress, formatAddress, parseAddress } from './model/address.ts';
export type { AddressText, AddressWords, Family } from './model/address.ts';
export { formatCidr, parseCidr } from './model/cidr.ts';
export type { Cidr, CidrBits } from './model/cidr.ts';
export type {
  ContainerPort,
  EndpointPort,
  EndpointSlice,
  Namespace,
  Node,
  Pod,
  PodPhase,
  Service,
  ServiceEndpoint,
  ServicePort,
  Snapshot,
  Workload,
} from './model/cluster.ts';
export { stateAt } from './model/timeline.ts';
export type { Timeline } from './model/timeline.ts';
export { DEFAULT_DIALECT } from './model/dialect.ts';
export type { Dialect } from './model/dialect.ts';
export type { Diagnostic, DiagnosticCode, Severity } from './model/diagnostic.ts';
export { formatEndpoint, parseEndpoint } from './model/endpoint.ts';
export { UnknownName } from './model/evaluator.ts';
export type { Evaluator, Session, World } from './model/evaluator.ts';
export type {
  Explanation,
  PeerExplanation,
  PolicyExplanation,
  PortExplanation,
  ResolvedEndpoint,
  RuleExplanation,
  SideExplanation,
  Ternary,
} from './model/explanation.ts';
export {
  addQuote,
  AddressTable,
  clearRow,
  createBatch,
  createDictionary,
  Orientation,
  OrientedBy,
  RecordedVerdict,
  RecordFlag,
  RecordKind,
  resetBatch,
  TcpFlag,
} from './model/flow.ts';
export type {
  Arena,
  Decision,
  Dictionary,
  EndpointFact,
  EndpointRef,
  Flow,
  FlowBatch,
  Packet,
  QuoteColumns,
  TimeExtent,
} from './model/flow.ts';
export type { PolicyAction, PolicyHit, PolicyTrace } from './model/recorded-policy.ts';
export { formatSelector } from './model/label.ts';
export type { Labels, Operator, Requirement, Selector } from './model/label.ts';
export type { Action, Direction, NamespaceScope, Peer, PodSet, Policy, Position, Rule, Tier } from './model/policy.ts';
export { formatPortMatch, formatProtocol, parseProtocol } from './model/port.ts';
export type { PortMatch, PortProtocol } from './model/port.ts';
export {
  decisionEgress,
  decisionIngress,
  decisionMissing,
  decisionVerdict,
  MissingFact,
  MISSING_FACTS,
  missingFactNames,
  Reason,
  REASONS,
  Verdict,
  VERDICT_NAMES,
} from './model/verdict.ts';
export type { ReasonRow, VerdictName } from './model/verdict.ts';
export { compile } from './compile/compile.ts';
export { applyChange, update, workOf } from './compile/update.ts';
export type { Change, PolicyName, UpdateWork } from './compile/update.ts';
export { InvalidProgram, Program, programFrom } from './compile/program.ts';
export type { ProgramSource } from './compile/program.ts';
export { decide, decideBatch, findEndpoint4, findEndpoint6, findEndpoints6 } from './decide/decide.ts';
export { judge } from './decide/judge.ts';
export { explain } from './decide/explain.ts';
export { rulesOf } from './decide/hit.ts';
export type { RuleHit } from './decide/hit.ts';
export { engine } from './replay/session.ts';
export { createAccount } from './trace/account.ts';
export type { TraceAccount } from './trace/account.ts';
export { DEFAULT_TIMEOUTS } from './track/state.ts';
export type { Timeouts, TrackerOptions } from './track/state.ts';
export { createTracker } from './track/tracker.ts';
export type { Tracker } from './track/tracker.ts';
export { createBulkDecider, createBulkFinder, createBulkFinder6, createBulkTracker } from './replay/bulk.ts';
export type { BulkDecider, BulkFinder, BulkTracker, Lookup4, Lookup6 } from './replay/bulk.ts';
export { createReplay } from './replay/replay.ts';
export type { Replay, ReplayOptions } from './replay/replay.ts';
export type {
  Comparison,
  FlowGroup,
  GroupDecision,
  GroupEndpoint,
  PendingComparison,
  RecordedComparison,
  ReplayMode,
  ReplayResult,
  RuleCount,
  RuleUsage,
  Tally,
  TrackingReport,
  UntouchedWorkload,
  VerdictTallies,
} from './replay/result.ts';
