/**
 * A foreign evaluator as a process: JSON lines to its stdin, answers from its stdout, as docs/fuzz.md describes. Its output is not
 * trusted: every answer has a time limit and a size limit, and a child that dies, is late or talks nonsense ends the run in a
 * `ForeignFailure`, never in an exception of another kind or a hang.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import type { World } from '../model/evaluator.ts';
import type { EndpointRef, Packet } from '../model/flow.ts';
import { formatProtocol } from '../model/port.ts';
import { VERDICT_NAMES, type VerdictName } from '../model/verdict.ts';
import { policyObjects, snapshotObjects } from './manifest.ts';
import type { Answer, Subject, Trial } from './trial.ts';

/** What to start, where, and how long to wait for each answer. */
export interface ForeignOptions {
  /** For the system's shell. */
  readonly command: string;
  readonly cwd: string;
  readonly answerMs: number;
  /** Ends every process of a group at once; processes belong to the command line. Throws where there is none. */
  readonly killGroup: (leader: number) => void;
}

/** A foreign evaluator; `close` ends its process. */
export interface Foreign extends Subject {
  close(): void;
}

/** The foreign evaluator is dead, late or does not keep to the protocol; `message` says which, with the end of its stderr. */
export class ForeignFailure extends Error {
  override readonly name = 'ForeignFailure';
}

/** Characters of one answer; a batch is a few kilobytes. */
const ANSWER_LENGTH_MAX = 1 << 24;

/** Characters of stderr that are kept for the message. */
const STDERR_KEPT = 2_000;

/** An answer as an object of unknown fields. */
type Reply = Readonly<Record<string, unknown>>;

/** Starts the command at once; what goes wrong shows at the next question. */
export function startForeign(options: ForeignOptions): Foreign {
  const line = createLine(options);
  let world: World | undefined;
  let worldError: string | undefined;
  return {
    name: options.command,
    close: () => line.close(),
    async ask(trial: Trial): Promise<readonly Answer[]> {
      if (trial.mode === 'tracked') return refuseAll(trial, 'the protocol has no tracked streams');
      if (trial.world !== world) {
        world = undefined;
        const { snapshot, policies } = trial.world;
        const reply = await line.ask({
          type: 'world',
          objects: [...snapshotObjects(snapshot), ...policyObjects(policies)],
        });
        worldError = errorOf(reply);
        world = trial.world;
      }
      if (worldError !== undefined) return refuseAll(trial, worldError);
      const { packets } = trial;
      if (packets.length > 1) {
        const reply = await line.ask({ type: 'batch', flows: packets.map(flowObject) });
        // An evaluator without batches says so by an error, and is asked one by one.
        if (errorOf(reply) === undefined) return readBatch(reply, packets.length, line);
      }
      const answers: Answer[] = [];
      for (const packet of packets) {
        const reply = await line.ask({ type: 'flow', ...flowObject(packet) });
        const why = errorOf(reply);
        answers.push(why === undefined ? readVerdict(reply['verdict'], line) : { kind: 'refused', why });
      }
      return answers;
    },
  };
}

/** One flow as the protocol spells it. */
function flowObject({ src, dst, protocol, port }: Packet): Record<string, unknown> {
  return { src: addressOf(src), dst: addressOf(dst), protocol: formatProtocol(protocol), port };
}

function addressOf(end: EndpointRef): string {
  if (end.kind !== 'address') throw new ForeignFailure('the protocol has addresses alone');
  return end.address;
}

function readBatch(reply: Reply, count: number, line: Line): Answer[] {
  const { verdicts } = reply;
  if (!Array.isArray(verdicts) || verdicts.length !== count)
    line.fail(`expected "verdicts" with ${count} items, found ${describe(verdicts)}`);
  return (verdicts as unknown[]).map((verdict) => readVerdict(verdict, line));
}

function readVerdict(value: unknown, line: Line): Answer {
  const verdict = VERDICT_NAMES.indexOf(value as VerdictName);
  if (verdict < 0) line.fail(`expected a verdict of allow, deny or undecidable, found ${describe(value)}`);
  return { kind: 'verdict', verdict };
}

function errorOf(reply: Reply): string | undefined {
  return typeof reply['error'] === 'string' ? reply['error'] : undefined;
}

function refuseAll({ packets }: Trial, why: string): Answer[] {
  return packets.map(() => ({ kind: 'refused', why }));
}

/** A value for a message. What nests too deeply for JSON.stringify is only called so. */
function describe(value: unknown): string {
  try {
    return shorten(JSON.stringify(value ?? null));
  } catch {
    return 'a value that nests too deeply';
  }
}

function shorten(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}

/** Questions and answers over a process, one at a time. */
interface Line {
  /** Sends a request under a fresh id and waits for the answer with that id. */
  ask(request: Readonly<Record<string, unknown>>): Promise<Reply>;
  /** Ends the line for good. */
  fail(what: string): never;
  close(): void;
}

interface Waiting {
  readonly id: number;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: ForeignFailure) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

function createLine({ command, cwd, answerMs, killGroup }: ForeignOptions): Line {
  // A group of its own, so that what the shell started ends with it.
  const child = spawn(command, { cwd, shell: true, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  let failure: ForeignFailure | undefined;
  let waiting: Waiting | undefined;
  let stderr = '';
  let buffered: string[] = [];
  let bufferedLength = 0;
  let lastId = 0;
  // Its number may be another's by then.
  let isGone = false;

  const end = (what: string): ForeignFailure => {
    if (failure === undefined) {
      const said = stderr.trim();
      failure = new ForeignFailure(said === '' ? what : `${what}; its stderr ends with:\n${said}`);
      if (!isGone) kill(child, killGroup);
    }
    if (waiting !== undefined) {
      clearTimeout(waiting.timer);
      const { reject } = waiting;
      waiting = undefined;
      reject(failure);
    }
    return failure;
  };
  const take = (text: string): void => {
    if (text.trim() === '') return;
    if (waiting === undefined) return void end(`expected silence until the next question, found ${shorten(text)}`);
    let reply: unknown;
    try {
      reply = JSON.parse(text);
    } catch {
      return void end(`expected a JSON object on a line, found ${shorten(text)}`);
    }
    if (typeof reply !== 'object' || reply === null || (reply as Reply)['id'] !== waiting.id)
      return void end(`expected an object with "id": ${waiting.id}, found ${shorten(text)}`);
    clearTimeout(waiting.timer);
    const { resolve } = waiting;
    waiting = undefined;
    resolve(reply as Reply);
  };

  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (chunk: string) => {
    if (failure !== undefined) return;
    let start = 0;
    for (let at = chunk.indexOf('\n'); at >= 0; at = chunk.indexOf('\n', start)) {
      const text = buffered.join('') + chunk.slice(start, at);
      buffered = [];
      bufferedLength = 0;
      start = at + 1;
      take(text);
    }
    buffered.push(chunk.slice(start));
    bufferedLength += chunk.length - start;
    if (bufferedLength > ANSWER_LENGTH_MAX) end(`expected an answer of at most ${ANSWER_LENGTH_MAX} characters`);
  });
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (chunk: string) => {
    stderr = (stderr + chunk).slice(-STDERR_KEPT);
  });
  // A child that has gone shows here as EPIPE and says more in `close`.
  child.stdin.on('error', () => {});
  child.on('error', (error) => {
    isGone = child.pid === undefined;
    end(`it could not be started: ${error.message}`);
  });
  child.on('close', (code, signal) => {
    isGone = true;
    end(`it ended ${code === null ? `by ${signal}` : `with exit code ${code}`} before answering`);
  });

  return {
    ask(request) {
      if (failure !== undefined) return Promise.reject(failure);
      const id = ++lastId;
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => void end(`no answer within ${answerMs / 1000} s`), answerMs);
        waiting = { id, resolve, reject, timer };
        child.stdin.write(`${JSON.stringify({ id, ...request })}\n`);
      });
    },
    fail(what) {
      throw end(what);
    },
    close() {
      end('the run is over');
    },
  };
}

function kill(child: ChildProcessWithoutNullStreams, killGroup: ForeignOptions['killGroup']): void {
  child.stdin.destroy();
  child.stdout.destroy();
  child.stderr.destroy();
  try {
    if (child.pid !== undefined) killGroup(child.pid);
  } catch {
    // A system without process groups.
    child.kill('SIGKILL');
  }
}
