/** Law: a batch is decided as its rows are, one by one, and as the same flows are judged by address. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import { decide, decideBatch, findEndpoint4, findEndpoint6, findEndpoints6 } from '../../src/decide/decide.ts';
import { judge, unpackDecision } from '../../src/decide/judge.ts';
import { arbitraryFlow } from '../../src/fuzz/arbitrary-flow.ts';
import { arbitraryWorld } from '../../src/fuzz/arbitrary-world.ts';
import { type AddressText, parseAddress } from '../../src/model/address.ts';
import { clearRow, createBatch, createDictionary, type Flow } from '../../src/model/flow.ts';
import { Reached } from '../law/outcome.ts';
import { runs, seed } from '../law/seed.ts';

test(`a batch is decided as its rows are, one by one (seed ${seed})`, () => {
  const reached = new Reached();
  const cases = arbitraryWorld({ tiers: 'all', dialect: 'any' }).chain((world) =>
    fc.array(arbitraryFlow(world), { minLength: 1, maxLength: 40, size: 'max' }).map((flows) => ({ world, flows })),
  );
  fc.assert(
    fc.property(cases, ({ world, flows }) => {
      const program = compile(world.snapshot, world.policies, world.dialect);
      const addressed = flows.filter(isAddressed);
      if (addressed.length === 0) return;
      const { addresses } = createDictionary();
      const batch = createBatch(addressed.length + 1);
      const words = new Uint32Array(4);
      const wordOf = (text: AddressText): [family: number, word: number, endpoint: number] => {
        const family = parseAddress(text, words);
        const [w0, w1, w2, w3] = [...words] as [number, number, number, number];
        return family === 4
          ? [4, w0, findEndpoint4(program, w0)]
          : [6, addresses.intern(w0, w1, w2, w3), findEndpoint6(program, w0, w1, w2, w3)];
      };
      const single = addressed.map((flow, row) => {
        clearRow(batch, row);
        const [family, src, source] = wordOf(flow.src.address);
        const [, dst, destination] = wordOf(flow.dst.address);
        batch.family[row] = family;
        batch.src[row] = src;
        batch.dst[row] = dst;
        batch.protocol[row] = flow.protocol;
        batch.dstPort[row] = flow.port ?? -1;
        batch.icmp[row] = flow.icmp ?? -1;
        return decide(program, source, destination, flow.protocol, flow.port ?? -1, flow.icmp ?? -1);
      });
      clearRow(batch, addressed.length);
      batch.count = addressed.length + 1;
      const out = new Int32Array(batch.count);
      decideBatch(program, batch, findEndpoints6(program, addresses, new Int32Array(0), 0), out);
      assert.deepEqual([...out], [...single, -1], 'a row without addresses gets no decision');
      addressed.forEach((flow, row) => {
        const decision = judge(program, flow);
        reached.add(decision);
        assert.deepEqual(unpackDecision(out[row]!), decision, JSON.stringify(flow));
      });
    }),
    { seed, numRuns: runs(400) },
  );
  assert.ok(reached.total > 300 && reached.share('allow') >= 0.1 && reached.share('deny') >= 0.1, String(reached));
});

test('endpoints of IPv6 addresses are found once each, as the table grows', () => {
  const program = compile({ namespaces: [], pods: [], nodes: [], services: [], endpointSlices: [] }, []);
  const { addresses } = createDictionary();
  addresses.intern(0xfd000000, 0, 0, 1);
  const first = findEndpoints6(program, addresses, new Int32Array(0), 0);
  first[0] = 1234;
  for (let word = 2; word < 3000; word++) addresses.intern(0xfd000000, 0, 0, word);
  const second = findEndpoints6(program, addresses, first, 1);
  assert.ok(second.length >= addresses.count);
  assert.equal(second[0], 1234, 'what was known is kept, not asked again');
  assert.equal(second[2998], findEndpoint6(program, 0xfd000000, 0, 0, 2999));
});

type Addressed = Flow & {
  readonly src: { readonly kind: 'address'; readonly address: AddressText };
  readonly dst: { readonly kind: 'address'; readonly address: AddressText };
};

/** Both ends are addresses of one family: what a record can carry. */
function isAddressed(flow: Flow): flow is Addressed {
  return (
    flow.src.kind === 'address' &&
    flow.dst.kind === 'address' &&
    flow.src.address.includes(':') === flow.dst.address.includes(':')
  );
}
