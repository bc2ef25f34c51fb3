/** Replays and conversions that are interrupted: what was read counts, nothing is said of the trace that is not so, and no reading goes on. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { type Bench, type Outcome, createBench } from './harness.ts';

const CLUSTER = `apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop}
status: {podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
`;

/** So many records, a second apart. */
function recordsOf(count: number): string {
  const start = Date.UTC(2026, 0, 2);
  return Array.from({ length: count }, (_, index) => {
    const time = new Date(start + index * 1000).toISOString();
    return `{"v":1,"t":"${time}","src":"198.51.100.${index % 250}","sport":${4000 + index},"dst":"10.1.0.1","dport":80,"proto":"tcp"}\n`;
  }).join('');
}

describe('an interrupt', () => {
  let bench: Bench;
  before(() => {
    bench = createBench({ 'cluster.yaml': CLUSTER, 'flows.ndjson': recordsOf(500), 'more.ndjson': recordsOf(400) });
  });
  after(() => bench.remove());

  /** Runs a command that is interrupted when its stdin has given `bytes` and falls silent. */
  const runUntil = (bytes: Uint8Array, argv: readonly string[]): Promise<Outcome> => {
    let interrupt = (): void => {};
    async function* silent(): AsyncGenerator<Uint8Array> {
      yield bytes;
      setTimeout(interrupt, 5);
      await new Promise(() => {});
    }
    return bench.run(argv, { stdin: silent(), onInterrupt: (handler) => (interrupt = handler) });
  };

  it('makes no malformed record of one that is half there, and no damage of a container that goes on', async () => {
    const text = recordsOf(500);
    const half = Buffer.from(text.slice(0, -40));
    const zipped = gzipSync(text, { level: 0 });
    for (const bytes of [half, zipped.subarray(0, zipped.length - 200)]) {
      const { code, stdout, stderr } = await runUntil(bytes, ['replay', '-f', 'cluster.yaml', '-']);
      assert.equal(code, 1);
      assert.match(stdout, / (4\d\d) read = \1 used \+ 0 skipped \+ 0 malformed\n {2}It adds up.* the same \1 rows/);
      assert.match(stdout, /result is incomplete\n$/);
      assert.match(
        stderr,
        /^dropcast: 4\d\d connections would be dropped .*\ndropcast: the result is incomplete: interrupted.*\n$/,
      );
      const converted = await runUntil(bytes, ['convert', '-', '-o', '-', '--to', 'ndjson']);
      assert.equal(converted.code, 3);
      assert.match(converted.stderr, /4\d\d records read.*\ndropcast: the output is incomplete: interrupted\n$/);
      assert.doesNotMatch(converted.stderr, /malformed|gzip/);
    }
  });

  it('of the reading before the one that was asked for ends both: no result of a window that was not found', async () => {
    for (const flags of [
      ['--since', '100s'],
      ['--until', 'start+9s'],
      ['--align-clocks', 'more.ndjson'],
    ]) {
      let times = 0;
      const { code, stdout, stderr } = await bench.run(['replay', '-f', 'cluster.yaml', 'flows.ndjson', ...flags], {
        // Ctrl-C once, as soon as somebody listens.
        onInterrupt: (handler) => {
          if (times++ === 0) handler();
        },
      });
      assert.equal(code, 3, `${flags.join(' ')}: ${stderr}`);
      assert.match(stderr, /the result is incomplete: interrupted/);
      assert.match(stdout, /the same 0 rows\.\n\n.*result is incomplete\n$/s);
    }
  });

  it('that may come at any time keeps nothing of stdin in memory until then', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const passed: WeakRef<Uint8Array>[] = [];
    let kept = -1;
    async function* stdin(): AsyncGenerator<Uint8Array> {
      const text = recordsOf(1);
      for (let index = 0; index < 100; index++) {
        const chunk = Buffer.from(text);
        passed.push(new WeakRef(chunk));
        yield chunk;
      }
      await new Promise((resolve) => setImmediate(resolve));
      collect();
      kept = passed.filter((chunk) => chunk.deref() !== undefined).length;
    }
    const { code } = await bench.run(['convert', '-', '-o', '-', '--to', 'ndjson'], { stdin: stdin() });
    assert.equal(code, 0);
    // The first is looked at for its format, the last is at hand.
    assert.ok(kept >= 0 && kept < 10, `${kept} of ${passed.length} chunks`);
  });
});
