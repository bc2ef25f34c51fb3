/**
 * The engine runs where there is no Node: bundled for the browser, loaded in a context that has the language and nothing else,
 * it compiles a small world, replays records, explains the one that is denied, and does bulk work as single calls do.
 */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';

const entry = join(dirname(fileURLToPath(import.meta.url)), '../../src/engine.ts');

/** What a page would do; runs inside of the context and gives back text alone. */
const PAGE = `
  const { compile, createAccount, createBatch, createDictionary, clearRow, createReplay, judge, explain, DEFAULT_DIALECT } = dropcast;
  const position = { file: 'page', line: 1, column: 1 };
  const pod = (name, address) => ({
    namespace: 'shop', name, labels: new Map([['app', name]]), addresses: [address], phase: 'Running', hostNetwork: false,
    ports: [], workload: { kind: 'Deployment', namespace: 'shop', name }, count: 1, isStandIn: false, position,
  });
  const snapshot = {
    namespaces: [{ name: 'shop', labels: new Map([['kubernetes.io/metadata.name', 'shop']]) }],
    pods: [pod('web', '10.0.0.1'), pod('db', '10.0.0.2'), pod('other', '10.0.0.3')],
    nodes: [], services: [], endpointSlices: [],
  };
  const select = (app) => [{ key: 'app', operator: 'In', values: [app] }];
  const policy = {
    kind: 'NetworkPolicy', namespace: 'shop', name: 'db', tier: 'networkpolicy', priority: 0,
    subject: { namespaces: { kind: 'named', namespace: 'shop' }, pods: select('db') },
    isolates: ['ingress'], egress: [], position,
    ingress: [{
      index: 0, action: 'Accept', position, ports: [{ kind: 'range', protocol: 'TCP', first: 5432, last: 5432 }],
      peers: [{ kind: 'pods', namespaces: { kind: 'named', namespace: 'shop' }, pods: select('web') }],
    }],
  };
  const program = compile(snapshot, [policy], DEFAULT_DIALECT);
  const dictionary = createDictionary();
  const batch = createBatch(8);
  const SYN = 2, ACK = 16;
  const packets = [
    [0x0a000001, 0x0a000002, 40000, 5432, SYN], [0x0a000002, 0x0a000001, 5432, 40000, SYN | ACK],
    [0x0a000003, 0x0a000002, 40000, 5432, SYN], [0x0a000001, 0x0a000002, 40001, 80, SYN],
    [0x0a000002, 0x0a000003, 5432, 40000, SYN | ACK],
  ];
  packets.forEach(([src, dst, srcPort, dstPort, flags], row) => {
    clearRow(batch, row);
    Object.entries({ family: 4, protocol: 6, src, dst, srcPort, dstPort, tcpFlags: flags, timeUs: row, bytes: 60, line: row + 1 })
      .forEach(([column, value]) => { batch[column][row] = value; });
  });
  batch.count = packets.length;
  const account = createAccount('page');
  account.read = account.used = packets.length;
  const replay = createReplay({ program, dictionary, mode: 'connections', invalid: 'count', kernel: 'wasm' });
  replay.add(batch, account);
  const result = replay.finish([account]);
  // The same packets through the doors for bulk work; their answers have to be those of the single calls.
  function runBulk() {
    const { createBulkDecider, createBulkFinder, createBulkFinder6, createBulkTracker } = dropcast;
    const { createTracker, findEndpoint4, findEndpoint6, decide } = dropcast;
    const count = packets.length;
    const decider = createBulkDecider(program, dictionary, count);
    const tracking = createBulkTracker({}, count);
    const finder = createBulkFinder(program, count);
    for (const column of ['src', 'dst', 'srcPort', 'dstPort', 'family', 'protocol', 'tcpFlags', 'timeUs', 'icmp'])
      for (const { batch: own } of [decider, tracking]) own[column].set(batch[column].subarray(0, count));
    finder.addresses.set(batch.src.subarray(0, count));
    decider.decide(count);
    tracking.track(count);
    finder.find(count);
    const finder6 = createBulkFinder6(program, 1);
    finder6.addresses.set([0xfd000000, 0, 0, 1]);
    finder6.find(1);
    const tracker = createTracker({});
    const findAt = (column, row) => findEndpoint4(program, batch[column][row]);
    const isSame = (_, row) =>
      decider.decisions[row] === decide(program, findAt('src', row), findAt('dst', row), 6, batch.dstPort[row], -1) &&
      tracking.states[row] === tracker.track(batch, row) &&
      finder.endpoints[row] === findAt('src', row);
    return packets.every(isSame) && finder6.endpoints[0] === findEndpoint6(program, 0xfd000000, 0, 0, 1);
  }
  const flow = { src: { kind: 'name', namespace: 'shop', name: 'other' }, dst: { kind: 'address', address: '10.0.0.2' }, protocol: 6, port: 5432 };
  JSON.stringify({
    totals: result.totals,
    isComplete: result.isComplete,
    judged: judge(program, flow).verdict,
    why: explain(program, flow).ingress.nearest.why,
    explained: result.groups[0].decision.explanation.verdict,
    isBulkSame: runBulk(),
    rowsByKernel: replay.rowsByKernel,
    globals: ['process', 'Buffer', 'require', 'module', 'global', 'setTimeout'].filter((name) => name in globalThis),
  });
`;

test('the engine bundles for a browser, and replays where there is no Node, with WebAssembly and without', async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    platform: 'browser',
    format: 'iife',
    globalName: 'dropcast',
    target: 'es2022',
    logLevel: 'silent',
  });
  const inputs = Object.keys(metafile.inputs);
  assert.ok(inputs.length > 20, `only ${inputs.length} files were bundled`);
  assert.deepEqual(
    inputs.filter((file) => file.includes('node_modules')),
    [],
    'the engine has no code but its own',
  );
  assert.deepEqual(
    Object.values(metafile.inputs).flatMap((input) => input.imports.filter(({ external }) => external === true)),
    [],
  );
  const bundle = outputFiles[0]!.text;
  assert.ok(!bundle.includes('SharedArrayBuffer('), 'no shared memory is asked for');

  for (const [prelude, rowsByKernel] of [
    ['', 3],
    ['delete globalThis.WebAssembly;', 0],
  ] as const) {
    const context = createContext({});
    runInContext(prelude + bundle, context);
    const answer = JSON.parse(runInContext(PAGE, context) as string) as Record<string, unknown>;
    assert.deepEqual(answer, {
      totals: {
        allow: { connections: 1, records: 2, bytes: 120 },
        deny: { connections: 2, records: 3, bytes: 180 },
        undecidable: { connections: 0, records: 0, bytes: 0 },
      },
      isComplete: true,
      judged: 0,
      why: 'admits app=web; the source is app=other',
      explained: 0,
      isBulkSame: true,
      rowsByKernel,
      globals: [],
    });
  }
});
