/** `dropcast explain`: one connection, or every packet of a scenario file, step by step. */
import type { Snapshot } from '../model/cluster.ts';
import type { Dialect } from '../model/dialect.ts';
import { formatEndpoint, parseEndpoint } from '../model/endpoint.ts';
import { UnknownName } from '../model/evaluator.ts';
import type { EndpointRef, Flow } from '../model/flow.ts';
import type { Expectation, Scenario } from '../model/scenario.ts';
import { PORT_PROTOCOLS, formatProtocol, parseProtocol } from '../model/port.ts';
import { REASONS, VERDICT_NAMES } from '../model/verdict.ts';
import type { Redact } from '../report/name.ts';
import { type ClusterOptions, printDiagnostics, readCluster, readDialect, refuseErrors } from './cluster.ts';
import { ExitCode, Refusal } from './exit.ts';
import { readText } from './input.ts';
import { createRedact } from './pseudonym.ts';
import { unknownNameText } from './suggestion.ts';
import { type Io, colorOf } from './terminal.ts';

/** Flags as parsed; see `dropcast explain --help`. */
export interface ExplainFlags extends ClusterOptions {
  readonly output: 'text' | 'json';
}

/** Runs the command; one argument is a scenario file, three are source, destination and service. */
export async function runExplain(args: readonly string[], flags: ExplainFlags, io: Io): Promise<ExitCode> {
  if (args.length === 1 && flags.file.length === 0) return explainScenario(args[0]!, flags, io);
  if (args.length !== 3)
    throw new Refusal('explain takes SRC DST PROTO/PORT with -f, or a scenario file alone, which has its own cluster');
  const flow = readFlow(args as readonly [string, string, string], flags.namespace);
  const service = args[2]!;
  if (/^\d+$/.test(service))
    await io.stderr.write(`dropcast: ${service} is taken for an IP protocol; a port is written TCP/${service}\n`);
  const { snapshot, policies, dialect, redact } = await readCluster(flags, io);
  const [{ compile }, { explain }, { formatExplanation }] = await Promise.all([
    import('../compile/compile.ts'),
    import('../decide/explain.ts'),
    import('../report/explanation.ts'),
  ]);
  const explanation = refuseUnknown(
    () => explain(compile(snapshot, policies, dialect), flow),
    redact ? undefined : snapshot,
  );
  await io.stdout.write(formatExplanation(explanation, { ...reportOptions(flags, io), ...(redact && { redact }) }));
  return ExitCode.Fine;
}

/** `TCP/5678`, `UDP/53`, `SCTP`, `ICMP`, `ICMP/8`, `ICMP/3/1`, `47`: undefined fields where the text has none. */
function readService(text: string): Pick<Flow, 'protocol' | 'port' | 'icmp'> {
  const [name = '', ...numbers] = text.split('/');
  const protocol = parseProtocol(name);
  const usage = 'write TCP/5678, UDP/53, ICMP, ICMP/8 (type) or ICMP/3/1 (type and code)';
  if (protocol === undefined) throw new Refusal(`"${text}": no protocol is called "${name}"; ${usage}`);
  if (numbers.length === 0) return { protocol };
  const values = numbers.map((number) => (/^\d{1,5}$/.test(number) ? Number(number) : NaN));
  const isPort = Object.values(PORT_PROTOCOLS).includes(protocol);
  if (isPort && values.length === 1 && values[0]! >= 0 && values[0]! <= 65535) return { protocol, port: values[0]! };
  const isIcmp = formatProtocol(protocol).startsWith('ICMP');
  if (isIcmp && values.length <= 2 && values.every((value) => value <= 255))
    return { protocol, icmp: (values[0]! << 8) | (values[1] ?? 0) };
  const wanted = isPort ? 'a port, a number up to 65535' : isIcmp ? 'a type and a code, numbers up to 255' : 'nothing';
  throw new Refusal(`"${text}": behind ${formatProtocol(protocol)} is expected ${wanted}; ${usage}`);
}

function readFlow([src, dst, service]: readonly [string, string, string], namespace: string): Flow {
  return { src: readEndpoint(src, namespace), dst: readEndpoint(dst, namespace), ...readService(service) };
}

function readEndpoint(text: string, namespace: string): EndpointRef {
  const ref = parseEndpoint(text, namespace);
  if (ref === undefined)
    throw new Refusal(
      `"${text}" is no endpoint; write namespace/name (a pod or workload), namespace/Kind/name, service.namespace or an address`,
    );
  return ref;
}

/** What a scenario expects of one packet, beside what was found. */
interface Finding {
  readonly title: string;
  readonly explanation: ReturnType<typeof import('../decide/explain.ts').explain>;
  readonly expected: string;
  readonly found: string;
  readonly outcome: 'as-expected' | 'different' | 'not-compared';
}

async function explainScenario(file: string, flags: ExplainFlags, io: Io): Promise<ExitCode> {
  const [{ readScenario }, { loadScenarioWorld }] = await Promise.all([
    import('../manifest/scenario.ts'),
    import('../manifest/scenario-world.ts'),
  ]);
  const text = await readText(file, io);
  const redact = flags.redact ? createRedact([text]) : undefined;
  const { scenario, diagnostics } = readScenario(text, file);
  if (scenario === undefined) {
    await printDiagnostics(diagnostics, io, redact);
    throw new Refusal(`${file} is no scenario file`);
  }
  const loaded = loadScenarioWorld(scenario, file);
  await printDiagnostics(loaded.diagnostics, io, redact);
  if (scenario.diagnostics.length > 0) return compareDiagnostics(scenario, loaded.diagnostics, io);
  refuseErrors(loaded.diagnostics);
  const dialect: Dialect = { ...loaded.world.dialect, ...overrides(flags.dialect) };
  const findings = await judgeScenario(scenario, { ...loaded.world, dialect });
  await io.stdout.write(await scenarioText(scenario, findings, flags, io, redact));
  const different = findings.filter(({ outcome }) => outcome === 'different').length;
  if (different === 0) return ExitCode.Fine;
  await io.stderr.write(`dropcast: ${different} of ${findings.length} packets differ from what the scenario expects\n`);
  return ExitCode.Finding;
}

async function judgeScenario(
  scenario: Scenario,
  world: Parameters<(typeof import('../replay/session.ts').engine)['load']>[0],
): Promise<Finding[]> {
  const [{ compile }, { explain }, { engine }] = await Promise.all([
    import('../compile/compile.ts'),
    import('../decide/explain.ts'),
    import('../replay/session.ts'),
  ]);
  const program = compile(world.snapshot, world.policies, world.dialect);
  const session = engine.load(world);
  const tracked = scenario.isTracked ? session.judgePackets?.(scenario.packets) : undefined;
  return scenario.packets.map((packet, index) => {
    const explanation = refuseUnknown(() => explain(program, packet));
    const expected = scenario.expected[index]!;
    const decision = scenario.isTracked ? tracked?.[index] : session.judge(packet);
    const service = packet.port === undefined ? '' : `/${packet.port}`;
    return {
      title: `packet ${index + 1}: ${formatEndpoint(packet.src)} -> ${formatEndpoint(packet.dst)} ${formatProtocol(packet.protocol)}${service}`,
      explanation,
      expected: expectationText(expected),
      found: decision === undefined ? '' : expectationText(decision),
      outcome: decision === undefined ? 'not-compared' : isAsExpected(expected, decision) ? 'as-expected' : 'different',
    };
  });
}

async function scenarioText(
  scenario: Scenario,
  findings: readonly Finding[],
  flags: ExplainFlags,
  io: Io,
  redact: Redact | undefined,
): Promise<string> {
  const { formatScenario } = await import('../report/scenario.ts');
  return formatScenario(scenario, findings, { ...reportOptions(flags, io), ...(redact && { redact }) });
}

async function compareDiagnostics(
  scenario: Scenario,
  found: readonly { readonly line?: number; readonly code: string; readonly message: string; readonly hint?: string }[],
  io: Io,
): Promise<ExitCode> {
  const missing = scenario.diagnostics.filter(
    ({ line, code, text }) =>
      !found.some((one) => one.line === line && one.code === code && `${one.message} ${one.hint ?? ''}`.includes(text)),
  );
  const total = scenario.diagnostics.length;
  await io.stdout.write(`${total - missing.length} of ${total} diagnostics found as expected\n`);
  if (missing.length === 0) return ExitCode.Fine;
  const list = missing.map(({ line, code }) => `${code} at line ${line}`).join(', ');
  await io.stderr.write(`dropcast: the scenario expects ${list}, which did not come\n`);
  return ExitCode.Finding;
}

function isAsExpected(
  expected: Expectation,
  found: { verdict: number; egress: number; ingress: number; missing: number },
): boolean {
  return (
    expected.verdict === found.verdict &&
    (expected.egress === undefined || expected.egress === found.egress) &&
    (expected.ingress === undefined || expected.ingress === found.ingress) &&
    (expected.missing === undefined || expected.missing === found.missing)
  );
}

function expectationText(side: {
  readonly egress: number | undefined;
  readonly ingress: number | undefined;
  readonly verdict: number;
}): string {
  const name = (reason: number | undefined): string => (reason === undefined ? '*' : REASONS[reason]!.name);
  return `${name(side.egress)} ${name(side.ingress)} ${VERDICT_NAMES[side.verdict]}`;
}

/** Knobs named on the command line alone, so that they win over the scenario's. */
function overrides(settings: readonly string[]): Partial<Dialect> {
  const dialect = readDialect(settings);
  const keys = settings.map((setting) => setting.slice(0, setting.indexOf('=')));
  return Object.fromEntries(keys.map((key) => [key, dialect[key as keyof Dialect]]));
}

/** `known` has the names to suggest; none are where names are secret. */
function refuseUnknown<Value>(call: () => Value, known?: Snapshot): Value {
  try {
    return call();
  } catch (error) {
    if (error instanceof UnknownName) throw new Refusal(`${unknownNameText(error, known)} [unknown-name]`);
    throw error;
  }
}

function reportOptions(flags: ExplainFlags, io: Io): { format: 'text' | 'json'; color: 'always' | 'never' } {
  return { format: flags.output, color: colorOf(io.stdout, io.env) };
}
