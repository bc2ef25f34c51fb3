/**
 * argv to command. Options are declared here, with their help; the commands themselves are imported when they run, so that
 * `--help` and `--version` do not wait for the engine.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { ExitCode, FAIL_CONDITIONS, type FailCondition, Refusal } from './exit.ts';
import { escapeControl } from '../report/escape.ts';
import { isOutOfMemory } from './memory.ts';
import type { Io, Sink } from './terminal.ts';

declare global {
  // Defined by the bundler; absent when the source runs.
  var DROPCAST_VERSION: string | undefined;
}

/** Groups in a list of text output unless `--top` says otherwise. */
const DEFAULT_TOP = 10;

/** Repeatable options that were not given. */
const NOTHING_NAMED = { file: [], delete: [], dialect: [] };

/** Runs one command line to its end and returns the exit code. Prints to `io` alone and never throws on bad input. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  let code: ExitCode = ExitCode.Fine;
  const written: Promise<unknown>[] = [];
  const program = createProgram(io, written, (given) => {
    code = given;
  });
  for (const step of [() => program.parseAsync([...argv], { from: 'user' }), () => Promise.all(written)])
    try {
      await step();
    } catch (error) {
      code = await exitCodeOf(error, io);
    }
  return code;
}

async function exitCodeOf(error: unknown, io: Io): Promise<ExitCode> {
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.Fine : ExitCode.Refused;
  if (error instanceof Refusal) {
    const lines = error.message.split('\n').map(escapeControl);
    await io.stderr.write(`dropcast: ${lines.join('\ndropcast: ')}\n`);
    return ExitCode.Refused;
  }
  if (isOutOfMemory(error)) {
    await io.stderr.write(`dropcast: there is not enough memory: ${escapeControl(error.message)}\n`);
    return ExitCode.Refused;
  }
  const { stack, message } = error as Error;
  await io.stderr.write(
    `dropcast: this is a defect of dropcast, please report it: ${escapeControl(message ?? String(error))}\n${stack ?? ''}\n`,
  );
  return ExitCode.Refused;
}

function createProgram(io: Io, written: Promise<unknown>[], end: (code: ExitCode) => void): Command {
  const say = (sink: Sink, text: string): void => {
    const writing = sink.write(text);
    written.push(writing);
    // It may fail before anybody waits for it.
    writing.catch(() => {});
  };
  const program = new Command('dropcast')
    .description('Forecast what Kubernetes network policies will drop, by replaying recorded traffic through them.')
    .version(globalThis.DROPCAST_VERSION ?? 'development', '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .configureHelp({ showGlobalOptions: false, helpWidth: 100 })
    .configureOutput({
      writeOut: (text) => say(io.stdout, text),
      writeErr: (text) => say(io.stderr, text),
      outputError: (text, write) =>
        write(
          text
            .replace(/^error: /, 'dropcast: ')
            .split('\n')
            .map(escapeControl)
            .join('\n'),
        ),
    })
    .exitOverride()
    .showSuggestionAfterError()
    .addHelpText('after', examples(['dropcast replay -f cluster/ -f policies/ capture.pcap', 'dropcast help replay']));
  for (const command of [
    replayCommand(io, end),
    explainCommand(io, end),
    testCommand(io, end),
    checkCommand(io, end),
    convertCommand(io, end),
    generateCommand(io, end),
    fuzzCommand(io, end),
  ]) {
    program.addCommand(command.copyInheritedSettings(program));
  }
  return program;
}

function replayCommand(io: Io, end: (code: ExitCode) => void): Command {
  const command = new Command('replay')
    .summary('forecast what the policies would drop of recorded traffic')
    .description('Replay traces against a cluster and its policies: which connections would be dropped, and why.')
    .argument('<trace...>', 'trace files, or - for stdin; the format is recognised', collectPath);
  addClusterOptions(command);
  return command
    .option('--baseline <path>', 'policies to compare with, instead of those of -f; repeatable', collectPath)
    .addOption(
      new Option('-o, --output <format>', 'output format')
        .choices(['text', 'wide', 'json', 'ndjson', 'csv', 'md'])
        .default('text'),
    )
    .option('--top <n>', 'groups in a list of text and md output, or all', parseTop, DEFAULT_TOP)
    .option('--format <name>', 'trace format, instead of recognising it')
    .option('--map <mapping>', 'where fields come from: FIELD=COLUMN,... or a mapping file (docs/traces.md)')
    .option('--since <time>', 'records from a time on: RFC 3339, 15m before the last one, or start+15m')
    .option('--until <time>', 'records up to a time, as --since')
    .option('--fields <names>', 'fields of AWS VPC flow logs without a header, as in their format string')
    .option('--align-clocks', 'correct the times of traces whose clocks differ, by connections that several recorded')
    .option(
      '--snapshots <path>',
      'the cluster at other times: snapshots with times in their names, watch events; repeatable',
      collectPath,
    )
    .option(
      '--fail-on <condition>',
      `exit 1 on ${FAIL_CONDITIONS.join('|')}, several with commas (default: drop, with --baseline new-drop)`,
      parseFailOn,
    )
    .option('--max-malformed <n>', 'malformed records that do not make the result incomplete', parseCount, 0)
    .option('--conntrack-max <n>', 'emulate a connection table of this size', parsePositive)
    .option(
      '--threads <n>',
      'threads of the replay of a long binary trace, best one in shards (the result is the same)',
      parseThreads,
      1,
    )
    .option('--stateless', 'judge every record on its own, as without connection tracking')
    .option('--packets', 'judge packet by packet as the kernel would, not whole connections')
    .addOption(
      new Option('--invalid <fate>', 'what becomes of packets that connection tracking calls INVALID')
        .choices(['count', 'drop'])
        .default('count'),
    )
    .addHelpText(
      'after',
      examples([
        'dropcast replay -f cluster.yaml -f policies/ capture.pcap',
        'dropcast replay -f live.yaml -f change.yaml --baseline live.yaml --fail-on new-drop flows.jsonl',
        'hubble observe -o jsonpb | dropcast replay -f live.yaml -f policies/ -',
      ]) + EXIT_CODES,
    )
    .action(async (traces: string[], flags) => {
      const { runReplay } = await import('./replay.ts');
      end(await runReplay(traces, { ...NOTHING_NAMED, ...flags }, io));
    });
}

function explainCommand(io: Io, end: (code: ExitCode) => void): Command {
  const command = new Command('explain')
    .summary('one connection, step by step')
    .description('Explain the verdict on one connection, both sides, or on every packet of a scenario file.')
    .usage('[options] -f PATH SRC DST PROTO/PORT\n       dropcast explain [options] SCENARIO-FILE')
    .argument('[args...]', 'source, destination and service, or a scenario file');
  addClusterOptions(command);
  return command
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      `
SRC and DST are namespace/name (a pod or workload), namespace/Kind/name, service.namespace or an address.
` +
        examples([
          'dropcast explain -f cluster.yaml -f policies/ app1/frontend app1/backend TCP/5678',
          'dropcast explain -f cluster.yaml 203.0.113.9 backend-svc.app1 TCP/80',
          'dropcast explain -f cluster.yaml app1/frontend app1/backend ICMP/8',
          'dropcast explain bug-report.scenario',
        ]),
    )
    .action(async (args: string[], flags) => {
      const { runExplain } = await import('./explain.ts');
      end(await runExplain(args, { ...NOTHING_NAMED, ...flags }, io));
    });
}

function testCommand(io: Io, end: (code: ExitCode) => void): Command {
  const command = new Command('test')
    .summary('policy unit tests from CSV files')
    .description(
      'Check expectations: CSV files with the columns src,dst,protocol,port,expect (allow, deny, undecidable).',
    )
    .argument('<expectations...>', 'CSV files, or - for stdin', collectPath);
  addClusterOptions(command);
  return command
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText('after', examples(['dropcast test -f cluster.yaml -f policies/ expectations.csv']))
    .action(async (files: string[], flags) => {
      const { runTest } = await import('./test.ts');
      end(await runTest(files, { ...NOTHING_NAMED, ...flags }, io));
    });
}

function checkCommand(io: Io, end: (code: ExitCode) => void): Command {
  const command = new Command('check')
    .summary('validate manifests and print every diagnostic')
    .description('Validate manifests as the API server does, and print everything that was found.')
    .usage('[options] -f PATH')
    // Only to be refused: without a description help does not show it.
    .argument('[none...]');
  addClusterOptions(command);
  return command
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText('after', examples(['dropcast check -f policies/', 'helm template chart | dropcast check -f -']))
    .action(async (none: string[], flags) => {
      if (none.length > 0) command.error(`error: manifests are named with -f: dropcast check -f ${none[0]}`);
      const { runCheck } = await import('./check.ts');
      end(await runCheck({ ...NOTHING_NAMED, ...flags }, io));
    });
}

function convertCommand(io: Io, end: (code: ExitCode) => void): Command {
  return new Command('convert')
    .summary('convert traces to NDJSON, CSV or the binary format')
    .description("Read traces of any known format and write one trace in one of dropcast's own formats.")
    .argument('<input...>', 'trace files, or - for stdin', collectPath)
    .option('-o, --output <file>', 'where to write, - for stdout; with --explain alone: text or json', parsePath)
    .addOption(
      new Option('--to <format>', 'format to write; by default told by the ending of the file').choices([
        'ndjson',
        'csv',
        'binary',
      ]),
    )
    .option(
      '--shards <n>',
      'binary: rows by connection, so that replay --threads reads each once (2 to 64)',
      parseShards,
    )
    .option('--format <name>', 'trace format of the inputs, instead of recognising it')
    .option('--map <mapping>', 'where fields come from: FIELD=COLUMN,... or a mapping file (docs/traces.md)')
    .option('--since <time>', 'records from a time on: RFC 3339, 15m before the last one, or start+15m')
    .option('--until <time>', 'records up to a time, as --since')
    .option('--fields <names>', 'fields of AWS VPC flow logs without a header, as in their format string')
    .option('--max-malformed <n>', 'malformed records that do not make the output incomplete', parseCount, 0)
    .option(
      '--explain',
      'without a file to write: show how the first records are understood; else say what became of all',
    )
    .addHelpText(
      'after',
      examples([
        'dropcast convert capture.pcap -o capture.bin --to binary',
        'dropcast convert flows.jsonl.gz -o flows.csv',
        'dropcast convert --explain unknown.log',
      ]),
    )
    .action(async (inputs: string[], flags) => {
      const { runConvert } = await import('./convert.ts');
      end(await runConvert(inputs, flags, io));
    });
}

function generateCommand(io: Io, end: (code: ExitCode) => void): Command {
  return new Command('generate')
    .summary('write a synthetic cluster, its policies and traffic')
    .description(
      'Write a synthetic cluster and policies, and with --records a trace, into a folder. Equal options, equal files.',
    )
    .requiredOption('--out <folder>', 'where to write; files of the same names are replaced', parsePath)
    .option('--pods <n>', 'pods of workloads (default: those of the shape)', parseCount)
    .option('--policies <n>', 'NetworkPolicies (default: those of the shape)', parseCount)
    .option('--seed <n>', 'what to begin chance with', parseSeed, 1)
    .addOption(
      new Option(
        '--shape <shape>',
        'what the world is like; docs/commands.md describes each (default: production)',
      ).choices(['production', 'wide', 'deep', 'published', 'store', 'tenants', 'crowds', 'heap']),
    )
    .option(
      '--worlds <n>',
      'instead: this many small worlds as fuzz --against draws them, a folder each',
      parsePositive,
    )
    .option('--records <n>', 'packets of a trace, trace.pcap (default: ten a connection)', parsePositive)
    .option('--connections <n>', 'connections of the trace (default: a tenth of the packets)', parsePositive)
    .option('--expectations [n]', 'write expectations.csv: connections with verdicts by the oracle (1000)', parseCount)
    .addHelpText(
      'after',
      examples([
        'dropcast generate --pods 200 --policies 40 --seed 7 --out world/ --expectations',
        'dropcast generate --pods 1000 --policies 200 --records 100000 --out world/',
        'dropcast generate --worlds 500 --seed 7 --out worlds/ --expectations',
      ]),
    )
    .action(async (flags) => {
      const { runGenerate } = await import('./generate.ts');
      end(await runGenerate(flags, io));
    });
}

function fuzzCommand(io: Io, end: (code: ExitCode) => void): Command {
  return new Command('fuzz')
    .summary('compare evaluators over random worlds')
    .description(
      'Compare the engine, or with --against any evaluator, with the oracle over random small clusters and policies. ' +
        'A disagreement is shrunk and printed as a scenario file.',
    )
    .option('--against <command>', 'an evaluator that speaks the protocol of docs/fuzz.md over stdin and stdout')
    .option('--seed <n>', 'repeat a run (default: a fresh one, printed)', parseSeed)
    .option('--cases <n>', 'most worlds to try', parseCount)
    .option(
      '--time <duration>',
      'how long to try: 60s, 500ms, 5m (default: 60s, without limit with --cases)',
      parseDuration,
    )
    .addOption(
      new Option('--answer-time <duration>', 'how long the evaluator may take for one answer')
        .argParser(parseDuration)
        .default(10_000, '10s'),
    )
    .option(
      '--dialect <key=value>',
      "the oracle's reading where the API leaves one open; with --against; repeatable",
      collect,
    )
    .addHelpText(
      'after',
      examples([
        'dropcast fuzz --time 30s',
        "dropcast fuzz --against './my-evaluator --json' --cases 2000 > bug.scenario",
        'dropcast explain bug.scenario',
      ]) +
        `
Exit codes:
  0  no disagreement
  1  a disagreement; its scenario is on stdout
  2  bad usage, or an evaluator that gives no answers
`,
    )
    .action(async (flags) => {
      const { runFuzz } = await import('./fuzz.ts');
      end(await runFuzz({ dialect: [], ...flags }, io));
    });
}

function addClusterOptions(command: Command): void {
  command
    .option(
      '-f, --file <path>',
      'manifests: a file, a folder or -; a later one replaces objects; repeatable',
      collectPath,
    )
    .option('--delete <kind/ns/name>', 'remove an object after reading; repeatable', collect)
    .option('-n, --namespace <name>', 'namespace of objects and names without one', parseNamespace, 'default')
    .addOption(
      new Option('--validate <mode>', 'unknown and duplicate fields: refuse, warn or ignore')
        .choices(['strict', 'warn', 'ignore'])
        .default('strict'),
    )
    .option('--dialect <key=value>', 'a choice where the API leaves one open; repeatable', collect)
    .option('--redact', 'replace names and addresses by stable pseudonyms');
}

const EXIT_CODES = `
Exit codes:
  0  nothing of what --fail-on asks for
  1  the --fail-on condition holds
  2  bad usage, an unreadable file or a refused manifest
  3  lost events, more malformed records than --max-malformed, or an interrupt
`;

function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}\n`).join('')}`;
}

function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

function collectPath(value: string, previous: string[] | undefined): string[] {
  return collect(parsePath(value), previous);
}

/** What a variable that is not set leaves would name the current folder. */
function parsePath(text: string): string {
  if (text === '') throw new InvalidArgumentError('Expected a path.');
  return text;
}

/** As the API server has it: a label of RFC 1123. */
function parseNamespace(text: string): string {
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text))
    throw new InvalidArgumentError('Expected lower case letters, digits and -, such as app1-ns.');
  return text;
}

/** More than any machine has that somebody replays on. */
const MOST_THREADS = 64;

/** Reads a whole number in a range, in digits. */
function wholeNumber(least: number, most?: number): (text: string) => number {
  return (text) => {
    const number = /^\d{1,15}$/.test(text) ? Number(text) : -1;
    if (number < least || number > (most ?? number))
      throw new InvalidArgumentError(
        `Expected a whole number ${most === undefined ? `of at least ${least}` : `from ${least} to ${most}`}.`,
      );
    return number;
  };
}

const parseCount = wholeNumber(0);
const parsePositive = wholeNumber(1);
const parseThreads = wholeNumber(1, MOST_THREADS);
const parseShards = wholeNumber(2, 64);
const parseSeed = wholeNumber(0, 0x7fff_ffff);

/** Milliseconds. */
function parseDuration(text: string): number {
  const parts = /^(\d{1,9})(ms|s|m|h|)$/.exec(text);
  const unit = { ms: 1, s: 1_000, '': 1_000, m: 60_000, h: 3_600_000 }[parts?.[2] ?? ''];
  const duration = Number(parts?.[1]) * (unit ?? NaN);
  // Timers hold 31 bits of milliseconds.
  if (!(duration > 0 && duration <= 0x7fff_ffff)) throw new InvalidArgumentError('Write 60s, 500ms, 5m or 1h.');
  return duration;
}

function parseTop(text: string): number {
  return text === 'all' ? Infinity : parseCount(text);
}

function parseFailOn(text: string): FailCondition[] {
  const conditions = text.split(',').map((part) => {
    const condition = FAIL_CONDITIONS.find((one) => one === part.trim());
    if (condition === undefined) throw new InvalidArgumentError(`Choose from ${FAIL_CONDITIONS.join(', ')}.`);
    return condition;
  });
  if (conditions.length > 1 && conditions.includes('never'))
    throw new InvalidArgumentError('never stands alone: it says that no other condition counts.');
  return conditions;
}
