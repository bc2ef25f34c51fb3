/**
 * A test runner for Stryker that starts no process for a mutant: the bundled tests (bundle.mjs) are evaluated anew in this process with
 * the mutant switched on, and run one after another until one fails. Stryker runs it in a child process, which it ends and starts again
 * where a mutant does not come to an end.
 */
import { appendFileSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import vm from 'node:vm';
import { INSTRUMENTER_CONSTANTS } from '@stryker-mutator/api/core';
import { PluginKind, declareClassPlugin } from '@stryker-mutator/api/plugin';
import {
  DryRunStatus,
  MutantRunStatus,
  TestStatus,
  determineHitLimitReached,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner';

import { ROOMS } from './room.mjs';
import { isSampled } from './sample.mjs';

const FOLDER = 'test/mutant';
const LOG = new URL(`../../reports/mutation/${process.env.DROPCAST_ROOM}.log`, import.meta.url);
/** Milliseconds of each test in the dry run, for every process that is started afterwards. */
const TIMES = 'test/mutant/times.json';
const ROOM = ROOMS[process.env.DROPCAST_ROOM];

/** How much processor time a test may take: so much, and so many times what it took in the dry run. */
const LEAST_MS = 5000;
const TIMES_AS_LONG = 8;

class InProcessRunner {
  static inject = [];
  #scripts = [];
  #timesMs = new Map();
  /** How many mutants each test has found. */
  #kills = new Map();
  #require = createRequire(join(process.cwd(), 'package.json'));
  #requireInBundle = this.#require;

  capabilities() {
    return { reloadEnvironment: true };
  }

  init() {
    this.#scripts = readdirSync(FOLDER)
      .filter((name) => name.endsWith('.cjs'))
      .sort()
      .map((name) => {
        const path = join(process.cwd(), FOLDER, name);
        const names = '(require, module, exports, __filename, __dirname, __url, __resolve)';
        const text = `(function ${names} {${readFileSync(path, 'utf8')}\n})`;
        return { name, path, script: new vm.Script(text, { filename: path }) };
      });
    if (this.#scripts.length === 0) throw new Error('there is no bundle to run');
    if (existsSync(TIMES)) this.#timesMs = new Map(JSON.parse(readFileSync(TIMES, 'utf8')));
    const laws = shortLaws(this.#require('fast-check'), ROOM.share);
    this.#requireInBundle = (name) => (name === 'fast-check' ? laws : this.#require(name));
  }

  async dryRun({ coverageAnalysis }) {
    const stryker = (globalThis[INSTRUMENTER_CONSTANTS.NAMESPACE] ??= {});
    delete stryker.activeMutant;
    const { results, error } = await this.#run(undefined, 'all', (id) => {
      stryker.currentTestId = coverageAnalysis === 'perTest' ? id : undefined;
    });
    delete stryker.currentTestId;
    if (error !== undefined) return { status: DryRunStatus.Error, errorMessage: error };
    for (const { id, timeSpentMs } of results) {
      this.#timesMs.set(id, timeSpentMs);
      appendFileSync(LOG, `${Math.round(timeSpentMs)} ms ${id}\n`);
    }
    writeFileSync(TIMES, JSON.stringify([...this.#timesMs]));
    return { status: DryRunStatus.Complete, tests: results, mutantCoverage: stryker.mutantCoverage };
  }

  async mutantRun({ activeMutant, testFilter, hitLimit }) {
    const { DROPCAST_SAMPLE: sample, DROPCAST_SEED: seed, DROPCAST_ONLY: only } = process.env;
    if (!isSampled(activeMutant.id, { sample, seed, only }))
      return { status: MutantRunStatus.Error, errorMessage: 'not in the sample' };
    const stryker = (globalThis[INSTRUMENTER_CONSTANTS.NAMESPACE] ??= {});
    stryker.activeMutant = activeMutant.id;
    stryker.hitCount = hitLimit === undefined ? undefined : 0;
    stryker.hitLimit = hitLimit;
    const { results, error, hasTimedOut } = await this.#run(testFilter, 'first');
    const limit = determineHitLimitReached(stryker.hitCount, hitLimit);
    if (limit !== undefined) return toMutantRunResult(limit);
    // A mutant that breaks loading is as dead as one that fails a test.
    const tests =
      error === undefined
        ? results
        : [{ id: 'load', name: 'load', status: TestStatus.Failed, timeSpentMs: 0, failureMessage: error }];
    const result = hasTimedOut
      ? { status: MutantRunStatus.Timeout, reason: error }
      : toMutantRunResult({ status: DryRunStatus.Complete, tests });
    // For whoever does not want to wait for the report.
    appendFileSync(
      LOG,
      `${result.status} ${activeMutant.fileName} ${JSON.stringify(activeMutant.location?.start)} ${activeMutant.mutatorName} ${activeMutant.replacement}\n`,
    );
    return result;
  }

  /** `extent`: all tests, or until the first that fails. */
  async #run(filter, extent, begin = () => {}) {
    const results = [];
    for (const { name: file, path, script } of this.#scripts) {
      const wanted = filter === undefined ? undefined : new Set(filter.filter((id) => id.startsWith(`${file} `)));
      if (wanted !== undefined && wanted.size === 0 && filter.length > 0) continue;
      const tests = (globalThis.collectedTests = []);
      try {
        const module = { exports: {} };
        const url = pathToFileURL(path).href;
        script.runInThisContext()(this.#requireInBundle, module, module.exports, path, join(path, '..'), url, () => '');
      } catch (error) {
        return { results, error: textOf(error) };
      }
      const numbered = tests.map((test, index) => ({ ...test, id: `${file} ${index} ${test.name}` }));
      const chosen = numbered.filter(
        ({ id, name }) => (wanted === undefined || wanted.has(id)) && !ROOM.without?.some((end) => name.endsWith(end)),
      );
      if (extent === 'first') chosen.sort((a, b) => this.#costOf(a.id) - this.#costOf(b.id));
      for (const test of chosen) {
        const { id, name } = test;
        begin(id);
        const started = performance.now();
        const limitMs = extent === 'first' ? LEAST_MS + TIMES_AS_LONG * (this.#timesMs.get(id) ?? Infinity) : Infinity;
        const failureMessage = await attemptFor(test, limitMs);
        const timeSpentMs = performance.now() - started;
        begin(undefined);
        if (failureMessage === TIMED_OUT) return { results, error: `${name} does not end`, hasTimedOut: true };
        if (failureMessage !== undefined) this.#kills.set(id, (this.#kills.get(id) ?? 0) + 1);
        if (failureMessage === undefined) results.push({ id, name, status: TestStatus.Success, timeSpentMs });
        else results.push({ id, name, status: TestStatus.Failed, timeSpentMs, failureMessage });
        if (failureMessage !== undefined && extent === 'first') return { results };
      }
    }
    return { results };
  }

  /** Quick tests first, and those that found much. */
  #costOf(id) {
    return ((this.#timesMs.get(id) ?? 0) + 1) / ((this.#kills.get(id) ?? 0) + 1);
  }
}

/** What held of the law that runs: the properties themselves, whatever the test asks afterwards. */
let hasHeld = false;

/**
 * fast-check with a share of its runs. A mutant is dead at the first counterexample: nobody reads the smallest. What a law demands
 * to have met besides (so that it holds of something) is not asked of so short a run: see `attempt`.
 */
function shortLaws(laws, share) {
  laws.configureGlobal({ endOnFailure: true });
  const held = (result) => {
    hasHeld = share < 1;
    return result;
  };
  const assert = (property, { numRuns = 100, ...rest } = {}) => {
    hasHeld = false;
    const result = laws.assert(property, { ...rest, numRuns: Math.ceil(numRuns * share) });
    return result instanceof Promise ? result.then(held) : held(result);
  };
  return { ...laws, assert };
}

/** The limit is processor time, as a busy machine must not turn a survivor into a time-out; what can be waited for is the clock. */
async function attemptFor(test, limitMs) {
  for (let waitMs = limitMs; ; waitMs *= 2) {
    const before = process.cpuUsage();
    const failureMessage = await attempt(test, waitMs);
    const { user, system } = process.cpuUsage(before);
    if (failureMessage !== TIMED_OUT || (user + system) / 1000 >= limitMs) return failureMessage;
  }
}

const TIMED_OUT = 'timed out';
const guarded = new vm.Script('guardedTest()');

/** The failure of a test, or undefined. What does not end between two awaits is ended. */
async function attempt({ run, hooks }, limitMs) {
  const ending = [];
  const context = {
    diagnostic: () => {},
    skip: () => {},
    after: (body) => void ending.push(body),
    test: async (_name, options, body) => (typeof options === 'function' ? options : body)(context),
  };
  hasHeld = false;
  try {
    for (const body of [...hooks.before, ...hooks.beforeEach]) await body(context);
    globalThis.guardedTest = () => run(context);
    await guarded.runInThisContext(Number.isFinite(limitMs) ? { timeout: Math.ceil(limitMs) } : {});
    return undefined;
  } catch (error) {
    if (error?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return TIMED_OUT;
    return hasHeld ? undefined : textOf(error);
  } finally {
    for (const body of [...ending, ...hooks.afterEach, ...hooks.after]) await body(context);
  }
}

function textOf(error) {
  return String(error?.stack ?? error).slice(0, 2000);
}

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, 'in-process', InProcessRunner)];
