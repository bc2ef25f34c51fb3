/** The differential run finds what is wrong, makes it small and writes it down; and no evaluator, however rude, brings it down. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startForeign } from '../../src/fuzz/foreign.ts';
import { policyObjects, snapshotObjects } from '../../src/fuzz/manifest.ts';
import { smallerTrials } from '../../src/fuzz/reduce.ts';
import { type Disagreement, type FuzzOptions, type FuzzResult, fuzz, sampleTrials } from '../../src/fuzz/run.ts';
import { arbitraryPlainTrial, isPlain, type Subject, subjectOf, type Trial } from '../../src/fuzz/trial.ts';
import { loadManifests } from '../../src/manifest/load.ts';
import { readScenario } from '../../src/manifest/scenario.ts';
import { DEFAULT_DIALECT } from '../../src/model/dialect.ts';
import type { Evaluator, World } from '../../src/model/evaluator.ts';
import type { PortMatch } from '../../src/model/port.ts';
import { Reason, Verdict } from '../../src/model/verdict.ts';
import { oracle } from '../../src/oracle/oracle.ts';
import { engine } from '../../src/replay/session.ts';
import { createBench } from '../cli/harness.ts';
import { seed } from '../law/seed.ts';
import * as fc from 'fast-check';

const here = dirname(fileURLToPath(import.meta.url));
const toy = (manner: string): string => `"${process.execPath}" "${join(here, 'toy.mjs')}" ${manner}`;
const PLAIN = { extent: 'plain', dialect: DEFAULT_DIALECT } as const;

async function fuzzToy(
  manner: string,
  options: Pick<FuzzOptions, 'seed' | 'cases'>,
  answerMs = 60_000,
): Promise<FuzzResult> {
  const subject = startForeign({
    command: toy(manner),
    cwd: here,
    answerMs,
    killGroup: (leader) => void process.kill(-leader, 'SIGKILL'),
  });
  try {
    return await fuzz({ subject, ...PLAIN, ...options });
  } finally {
    subject.close();
  }
}

async function findIn(evaluator: Evaluator, extent: FuzzOptions['extent']): Promise<Disagreement> {
  const { disagreement } = await fuzz({
    subject: subjectOf(evaluator),
    seed,
    cases: 3_000,
    extent,
    dialect: DEFAULT_DIALECT,
  });
  assert.ok(disagreement !== undefined, `nothing found with seed ${seed}`);
  assert.ok(disagreement.isReproducible, `the scenario does not show it:\n${disagreement.scenario}`);
  return disagreement;
}

/** The oracle in a world that is misread. */
function misreading(name: string, misread: (world: World) => World): Evaluator {
  return { name, load: (world) => oracle.load(misread(world)) };
}

function mapPorts(world: World, map: (port: PortMatch) => PortMatch): World {
  const policies = world.policies.map((policy) => {
    const rules = (side: 'ingress' | 'egress'): (typeof policy)['ingress'] =>
      policy[side].map((rule) => ({ ...rule, ports: rule.ports?.map(map) }));
    return { ...policy, ingress: rules('ingress'), egress: rules('egress') };
  });
  return { ...world, policies };
}

test(`an evaluator written from the protocol page agrees with the oracle, in batches and one by one (seed ${seed})`, async () => {
  const batched = await fuzzToy('right', { seed, cases: 60 });
  assert.equal(batched.failure, undefined);
  assert.equal(batched.disagreement?.scenario, undefined);
  assert.equal(batched.counts.cases, 60);
  assert.ok(batched.counts.allowed > 50 && batched.counts.denied > 20, JSON.stringify(batched.counts));
  const single = await fuzzToy('one-by-one', { seed, cases: 60 });
  assert.deepEqual(single, batched);
});

test(`the bug of a toy that ignores except is found and shrunk to one pod, one policy and one packet (seed ${seed})`, async (context) => {
  const { disagreement } = await fuzzToy('ignores-except', { seed, cases: 2_000 });
  assert.ok(disagreement !== undefined);
  context.diagnostic(disagreement.scenario);
  assert.ok(disagreement.isReproducible);
  assert.ok(disagreement.rules.includes('NP-21'), disagreement.rules.join());
  const { world, packets } = disagreement.trial;
  assert.equal(packets.length, 1);
  assert.equal(world.policies.length, 1);
  assert.ok(world.snapshot.pods.length <= 2);
  const rules = world.policies.flatMap(({ ingress, egress }) => [...ingress, ...egress]);
  assert.equal(rules.length, 1);
  const [peer, ...more] = rules[0]!.peers ?? [];
  assert.equal(more.length, 0);
  assert.ok(peer?.kind === 'ipBlock' && peer.except.length === 1);
  assert.ok(disagreement.scenario.split('\n').length < 60);
});

test('the command prints seed, rules and a scenario that explain reads', async () => {
  const bench = createBench({});
  const argv = ['fuzz', '--seed', '1', '--cases', '500', '--against', toy('ignores-except')];
  try {
    const first = await bench.run(argv);
    assert.equal(first.code, 1, first.stderr);
    assert.match(first.stderr, /^dropcast: seed 1\n/);
    assert.match(first.stderr, /NP-20, NP-21/);
    const { scenario, diagnostics } = readScenario(first.stdout, 'bug');
    assert.deepEqual(diagnostics, []);
    assert.deepEqual(scenario?.covers, ['NP-20', 'NP-21']);
    bench.write('bug.scenario', first.stdout);
    const explained = await bench.run(['explain', 'bug.scenario']);
    assert.equal(explained.code, 0, explained.stderr);
    assert.match(explained.stdout, /verdict {2}deny/);
  } finally {
    bench.remove();
  }
});

for (const [manner, what] of [
  ['dies', /it ended with exit code 7 before answering; its stderr ends with:\nthe toy fell apart/],
  ['garbles', /expected a JSON object on a line, found allow, I think/],
  ['floods', /expected an answer of at most 16777216 characters/],
  ['echoes', /expected ("verdicts" with \d+ items|a verdict of allow, deny or undecidable), found null/],
  ['sleeps', /no answer within 0\.5 s/],
] as const)
  test(`an evaluator that ${manner} ends the run with a sentence, within its time limit`, async () => {
    const { failure, disagreement } = await fuzzToy(manner, { seed, cases: 10 }, manner === 'sleeps' ? 500 : 10_000);
    assert.match(failure ?? '', what);
    assert.equal(disagreement, undefined);
  });

test('an evaluator that refuses every world, or does not exist, is no agreement: exit code 2', async () => {
  const bench = createBench({});
  try {
    const refused = await bench.run(['fuzz', '--cases', '3', '--against', toy('refuses')]);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /nothing was compared.*the evaluator says: too much world for a toy/);
    const missing = await bench.run(['fuzz', '--cases', '3', '--against', 'dropcast-test-no-such-program']);
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /the evaluator failed in case 1: it ended with exit code/);
    for (const flags of [
      ['--time', '2x'],
      ['--seed', '-1'],
      ['--cases', '0'],
      ['--dialect', 'hairpin=allow'],
      ['--against', ' '],
    ])
      assert.equal((await bench.run(['fuzz', ...flags])).code, 2, flags.join(' '));
  } finally {
    bench.remove();
  }
});

test(`the engine agrees with the oracle, and the command ends when its time is up (seed ${seed})`, async () => {
  const bench = createBench({});
  try {
    const started = Date.now();
    const { code, stdout, stderr } = await bench.run(['fuzz', '--seed', String(seed), '--time', '1s']);
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /^no disagreement: \d+ worlds, /);
    // A minute where the option is not heard.
    assert.ok(Date.now() - started < 40_000);
  } finally {
    bench.remove();
  }
});

test(`a tracker that forgets replies is found in a stream, and shrunk to an opening and an answer (seed ${seed})`, async () => {
  const forgetful: Evaluator = {
    name: 'forgetful',
    load(world) {
      const session = engine.load(world);
      return {
        judge: (flow) => session.judge(flow),
        judgePackets: (packets) =>
          session.judgePackets!(packets).map((decision, index) =>
            decision.egress === Reason.Established ? session.judge(packets[index]!) : decision,
          ),
      };
    },
  };
  const { trial, scenario, rules } = await findIn(forgetful, 'whole');
  assert.equal(trial.mode, 'tracked');
  assert.equal(trial.packets.length, 2);
  assert.match(scenario, /^tracked$/m);
  assert.ok(rules.includes('CT-01'));
});

test(`an exclusive endPort is named by its rule, and an evaluator that allows everything by an empty policy (seed ${seed})`, async () => {
  const exclusive = misreading('exclusive', (world) =>
    mapPorts(world, (port) =>
      port.kind === 'range' && port.last > port.first ? { ...port, last: port.last - 1 } : port,
    ),
  );
  const found = await findIn(exclusive, 'plain');
  assert.ok(found.rules.includes('NP-25'), found.scenario);
  assert.equal((await findIn(exclusive, 'plain')).scenario, found.scenario, 'the same seed gives the same scenario');
  const silent: Evaluator = {
    name: 'always allows',
    load: () => ({ judge: () => ({ verdict: Verdict.Allow, egress: 0, ingress: 0, missing: 0 }) }),
  };
  const { trial } = await findIn(silent, 'plain');
  assert.equal(trial.world.policies.length, 1);
  assert.deepEqual(
    trial.world.policies.flatMap(({ ingress, egress }) => [...ingress, ...egress]),
    [],
  );
});

test(`a reading that the API leaves open is called one, with the knob that agrees (seed ${seed})`, async () => {
  const strict = misreading('no pods in blocks', (world) => ({
    ...world,
    dialect: { ...world.dialect, ipBlockMatchesPods: false },
  }));
  const { explainedBy, scenario } = await findIn(strict, 'plain');
  assert.ok(explainedBy.includes('ipBlockMatchesPods=false'), explainedBy.join());
  assert.match(scenario, /with --dialect ipBlockMatchesPods=false the oracle agrees/);
});

test(`objects of the protocol are manifests: read back they are the world that was sent (seed ${seed})`, () => {
  fc.assert(
    fc.property(arbitraryPlainTrial(DEFAULT_DIALECT), ({ world }) => {
      assert.ok(isPlain(world));
      const items = [...snapshotObjects(world.snapshot), ...policyObjects(world.policies)];
      const text = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
      const { snapshot, policies, diagnostics } = loadManifests([{ path: 'world', text, group: 0 }], {
        namespace: 'default',
        validate: 'strict',
        remove: [],
      });
      assert.deepEqual(
        diagnostics.filter(({ severity }) => severity === 'error'),
        [],
      );
      assert.deepEqual(
        snapshot.pods.map(({ position: _, ...pod }) => pod),
        world.snapshot.pods.map(({ position: _, ...pod }) => pod),
      );
      assert.equal(policies.length, world.policies.length);
    }),
    { seed, numRuns: 100 },
  );
});

test(`every step of a reduction is smaller: reducing without a condition ends with one packet in nothing (seed ${seed})`, () => {
  for (let trial of fc.sample(arbitraryPlainTrial(DEFAULT_DIALECT), { seed, numRuns: 20 })) {
    if (trial.packets.length === 0) continue;
    for (let steps = 0; ; steps++) {
      assert.ok(steps < 200, 'the reduction does not end');
      const next = smallerTrials(trial).next();
      if (next.done === true) break;
      trial = next.value;
    }
    const { snapshot, policies } = trial.world;
    assert.equal(trial.packets.length, 1);
    assert.deepEqual([snapshot.pods, snapshot.nodes, snapshot.namespaces, policies], [[], [], [], []]);
  }
});

test('generate writes a world whose expectations the engine meets, the same for the same seed', async () => {
  const bench = createBench({});
  const argv = [
    'generate',
    '--pods',
    '40',
    '--policies',
    '15',
    '--seed',
    '3',
    '--records',
    '300',
    '--expectations',
    '200',
    '--out',
  ];
  const names = ['cluster.json', 'policies.json', 'trace.pcap', 'expectations.csv'];
  try {
    for (const out of ['one', 'two']) {
      const { code, stderr, stdout } = await bench.run([...argv, out]);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /expectations\.csv: 200 connections, .*\d+ allow/);
    }
    for (const name of names)
      assert.ok(
        readFileSync(join(bench.folder, 'one', name)).equals(readFileSync(join(bench.folder, 'two', name))),
        name,
      );
    const manifests = ['-f', 'one/cluster.json', '-f', 'one/policies.json'];
    const tested = await bench.run(['test', ...manifests, 'one/expectations.csv']);
    assert.equal(tested.code, 0, tested.stdout + tested.stderr);
    assert.match(tested.stdout, /200 passed, 0 failed/);
    const replayed = await bench.run(['replay', ...manifests, '--fail-on', 'never', 'one/trace.pcap']);
    assert.equal(replayed.code, 0, replayed.stderr);
    for (const [wrong, said] of [
      [['--pods', '1'], /expected 4 to \d+, found 1$/m],
      [['--records', '5', '--connections', '10'], /--records 5 is less than --connections 10/],
      [['--records', '0'], /at least 1/],
    ] as const) {
      const { code, stderr } = await bench.run(['generate', ...wrong, '--out', 'three']);
      assert.equal(code, 2);
      assert.match(stderr, said);
    }
    assert.ok(!existsSync(join(bench.folder, 'three')), 'nothing is written where the options make no world');
    const ten = await bench.run([
      'generate',
      '--connections',
      '5',
      '--shape',
      'tenants',
      '--pods',
      '8',
      '--policies',
      '6',
      '--out',
      'three',
    ]);
    assert.match(ten.stdout, /trace.pcap: 50 packets of 5 connections/, ten.stderr);
  } finally {
    bench.remove();
  }
});

test('an interrupt ends a run whose evaluator says nothing, and what was compared counts', async () => {
  const abort = new AbortController();
  const right = subjectOf(oracle);
  let asked = 0;
  const subject: Subject = {
    name: 'a silence',
    ask(trial) {
      if (++asked <= 3) return right.ask(trial);
      setTimeout(() => abort.abort(), 1);
      return new Promise(() => {});
    },
  };
  const { counts, failure, disagreement } = await fuzz({ subject, ...PLAIN, seed: 7, signal: abort.signal });
  assert.deepEqual([counts.cases, asked, failure, disagreement], [3, 4, undefined, undefined]);
});

test('an interrupt ends a run whose evaluator answers at once', async () => {
  const abort = new AbortController();
  const right = subjectOf(oracle);
  let asked = 0;
  const subject: Subject = {
    name: 'a witness',
    ask(trial) {
      if (++asked === 3) setImmediate(() => abort.abort());
      return right.ask(trial);
    },
  };
  const { counts, disagreement } = await fuzz({ subject, ...PLAIN, seed: 7, cases: 100, signal: abort.signal });
  assert.equal(disagreement, undefined);
  assert.ok(counts.cases >= 3 && counts.cases < 10, `${counts.cases} cases`);
});

test('a run keeps none of the answers that it has compared: it may go on for days', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const right = subjectOf(oracle);
  const given: WeakRef<object>[] = [];
  let kept = -1;
  const subject: Subject = {
    name: 'a witness',
    ask: async (trial) => {
      if (given.length === 50) {
        await new Promise((resolve) => setImmediate(resolve));
        collect();
        kept = given.filter((own) => own.deref() !== undefined).length;
      }
      const answers = await right.ask(trial);
      given.push(new WeakRef(answers));
      return answers;
    },
  };
  const { counts } = await fuzz({
    subject,
    extent: 'whole',
    dialect: DEFAULT_DIALECT,
    seed: 7,
    cases: 60,
    signal: new AbortController().signal,
  });
  assert.equal(counts.cases, 60);
  assert.ok(kept >= 0 && kept < 10, `${kept} of 50 answers`);
});

test('the worlds that generate writes are those that a run with the seed tries; the engine meets what they expect', async () => {
  const tried: Trial[] = [];
  const right = subjectOf(oracle);
  const subject: Subject = {
    name: 'a witness',
    ask: (trial) => {
      tried.push(trial);
      return right.ask(trial);
    },
  };
  await fuzz({ subject, ...PLAIN, seed: 7, cases: 12 });
  const sampled = sampleTrials(7, 12);
  assert.deepEqual(sampled, tried);

  const bench = createBench({});
  try {
    const argv = ['generate', '--worlds', '12', '--seed', '7', '--expectations', '--out', 'worlds'];
    const { code, stdout, stderr } = await bench.run(argv);
    assert.equal(code, 0, stderr);
    const packets = sampled.reduce((sum, trial) => sum + trial.packets.length, 0);
    assert.match(stdout, new RegExp(`^12 worlds: ${packets} connections, \\d+ allow`));
    for (const [index, { packets: asked, world }] of sampled.entries()) {
      const folder = `worlds/${String(index + 1).padStart(2, '0')}`;
      const objects = JSON.parse(readFileSync(join(bench.folder, folder, 'cluster.json'), 'utf8')) as {
        items: unknown[];
      };
      assert.deepEqual(objects.items, JSON.parse(JSON.stringify(snapshotObjects(world.snapshot))));
      const manifests = ['-f', `${folder}/cluster.json`, '-f', `${folder}/policies.json`];
      const tested = await bench.run(['test', ...manifests, `${folder}/expectations.csv`]);
      assert.equal(tested.code, 0, tested.stdout + tested.stderr);
      assert.match(tested.stdout, new RegExp(`^${asked.length} passed, 0 failed`, 'm'));
    }
    const two = await bench.run(['generate', '--worlds', '2', '--seed', '7', '--expectations', '1', '--out', 'two']);
    assert.match(two.stdout, /^2 worlds: 2 connections, /);
    const sized = await bench.run(['generate', '--worlds', '2', '--pods', '3', '--out', 'sized']);
    assert.equal(sized.code, 2);
    assert.match(sized.stderr, /--pods does not go with --worlds/);
  } finally {
    bench.remove();
  }
});

test('the command line starts without fast-check', () => {
  const source = join(here, '../../src');
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(
      /^(?:import|export) (?!type )[^;]*?from '([^']+)';$/gm,
    )) {
      assert.notEqual(specifier, 'fast-check', file);
      if (specifier.startsWith('.')) visit(resolve(dirname(file), specifier));
    }
  };
  // What the start imports, and what it goes on to for everything but --help and --version.
  visit(join(source, 'cli/bin.ts'));
  visit(join(source, 'cli/main.ts'));
  assert.ok(seen.has(join(source, 'cli/exit.ts')) && seen.size >= 4, [...seen].join(' '));
});
