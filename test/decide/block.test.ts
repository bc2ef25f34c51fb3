/**
 * Long lists of blocks. Laws: what a rule comes to is what its peers come to one by one, and what a side comes to is what its rules do, however
 * few of them are asked. Below them: few are.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { peersToAsk, rulesToAsk } from '../../src/decide/block.ts';
import { explainSide } from '../../src/decide/explain.ts';
import { type Facts, factsOfEndpoint } from '../../src/decide/fact.ts';
import type { FlowPort } from '../../src/decide/match.ts';
import { endpointOfAddress } from '../../src/decide/resolve.ts';
import { fareRule, type RuleFare } from '../../src/decide/sentence.ts';
import { type AddressText, type AddressWords, type Family, formatAddress } from '../../src/model/address.ts';
import { formatCidr, maskWords, parseCidr } from '../../src/model/cidr.ts';
import { DEFAULT_DIALECT, type Dialect } from '../../src/model/dialect.ts';
import type { Ternary } from '../../src/model/explanation.ts';
import type { Peer, Policy, Rule } from '../../src/model/policy.ts';
import type { PortMatch } from '../../src/model/port.ts';
import { Reason } from '../../src/model/verdict.ts';
import { runs, seed } from '../law/seed.ts';
import { admit, BACKEND_ONE, equals, peerOf, program, ruleOf } from './world.ts';

const TCP_80: FlowPort = { protocol: 6, port: 80, icmp: -1 };

/** Few places, many lengths: blocks lie in each other, apart, and on each other. */
const arbitraryBlock = fc
  .record({
    family: fc.constantFrom(4 as const, 4 as const, 6 as const),
    place: fc.constantFrom(0x0a000000, 0x0a000100, 0x0a010000, 0xcb007100, 0xcb0071fe, 0xffffffff, 0),
    length: fc.constantFrom(0, 1, 8, 15, 16, 24, 25, 30, 31, 32),
    more: fc.constantFrom(0, 1, 32, 96),
    hole: fc.constantFrom(undefined, 1, 2, 8),
  })
  .map(({ family, place, length, more, hole }): Peer => {
    const isShort = family === 4;
    const words = isShort ? [place] : [0xfd00_0000, place, place, place];
    const bits = isShort ? length : Math.min(128, length + more);
    const inner = bits + (hole ?? 0);
    const isHole = hole !== undefined && inner <= (isShort ? 32 : 128);
    return {
      kind: 'ipBlock',
      cidr: cidrOf(family, words, bits),
      except: isHole ? [cidrOf(family, words, inner)] : [],
    };
  });

const arbitraryPeer: fc.Arbitrary<Peer> = fc.oneof(
  { weight: 12, arbitrary: arbitraryBlock },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Peer[]>(
      peerOf({ role: 'one' }),
      peerOf({ role: 'x', tier: 'backend' }),
      peerOf({}, 'elsewhere'),
      { kind: 'nodes', selector: equals({ zone: 'a' }) },
      { kind: 'domains', names: ['example.org'] },
    ),
  },
);

/** Peers, and an address at or beside a bound of one of their blocks. */
const arbitraryPeers = fc
  .record({
    peers: fc.array(arbitraryPeer, { minLength: 1, maxLength: 60, size: 'max' }),
    nth: fc.nat(),
    side: fc.constantFrom('first', 'before', 'last', 'after'),
  })
  .map(({ peers, nth, side }) => ({ peers, address: addressAt(peers[nth % peers.length]!, side) }));

/** Whoever may be at the other end. */
const arbitraryKind = fc.constantFrom<Facts['kind'][]>('outside', 'outside', 'pod', 'node', 'unknown-pod', 'described');

const arbitraryDialect = fc
  .record({ ipBlockMatchesPods: fc.boolean(), ipBlockMatchesNodes: fc.boolean() })
  .map((part): Dialect => ({ ...DEFAULT_DIALECT, ...part }));

test(`a rule fares as its peers do one by one, however many blocks it lists (seed ${seed})`, () => {
  const reached = { yes: 0, no: 0, unknown: 0, hole: 0, spared: 0 };
  fc.assert(
    fc.property(
      arbitraryPeers,
      arbitraryKind,
      arbitraryDialect,
      fc.boolean(),
      ({ peers, address }, kind, dialect, isKnown) => {
        const facts = factsOf(kind, isKnown ? address : undefined);
        const fareOf = (own: readonly Peer[]): RuleFare =>
          fareRule(ruleOf({ peers: own }), facts, 'source', factsOf('pod', undefined), TCP_80, dialect);
        const each = peers.map((peer) => fareOf([peer]));
        const whole = fareOf(peers);
        const match = anyOf(each);
        assert.equal(whole.match, match);
        assert.equal(whole.missing, match === 'unknown' ? each.reduce((mask, { missing }) => mask | missing, 0) : 0);
        const nearest = nearestOf(each);
        assert.equal(whole.nearness, nearest.nearness);
        assert.equal(whole.why?.(), nearest.why?.());
        reached[match]++;
        if (whole.why?.().includes(' except ')) reached.hole++;
        if (peersToAsk(peers, facts.address).length < peers.length) reached.spared++;
      },
    ),
    { seed, numRuns: runs(800) },
  );
  // The rarest, a hole, comes some 23 times: by chance never fewer than four.
  for (const [what, count] of Object.entries(reached)) assert.ok(count > 3, `${what} ${count}`);
});

/** Rules of one block, of several, and of more than blocks. */
const arbitraryRule = fc
  .record({
    peers: fc.oneof(
      { weight: 8, arbitrary: fc.array(arbitraryBlock, { minLength: 1, maxLength: 2 }) },
      { weight: 1, arbitrary: fc.array(arbitraryPeer, { maxLength: 3 }) },
    ),
    port: fc.constantFrom<(PortMatch | undefined)[]>(
      undefined,
      { kind: 'range', protocol: 'TCP', first: 80, last: 80 },
      { kind: 'range', protocol: 'TCP', first: 443, last: 443 },
      { kind: 'range', protocol: 'UDP', first: 53, last: 53 },
      { kind: 'named', name: 'http', protocol: undefined },
    ),
    action: fc.constantFrom('Accept' as const, 'Deny' as const, 'Pass' as const),
  })
  .map(({ peers, port, action }) => ruleOf({ peers, action, ports: port && [port] }));

test(`a side comes to what all rules of its policy come to, however many list blocks alone (seed ${seed})`, () => {
  const reached = { allowed: 0, denied: 0, open: 0, nearest: 0, spared: 0 };
  fc.assert(
    fc.property(
      fc.array(arbitraryRule, { minLength: 1, maxLength: 60, size: 'max' }),
      fc.nat(),
      fc.constantFrom('first', 'before', 'last', 'after'),
      fc.boolean(),
      fc.constantFrom('networkpolicy' as const, 'admin' as const),
      (drawn, nth, side, isKnown, tier) => {
        const rules = drawn.map((rule): Rule => (tier === 'admin' ? rule : { ...rule, action: 'Accept' }));
        const own: Policy = { ...admit({}, ...rules), tier, ...(tier === 'admin' && { isolates: [] }) };
        const compiled = program([own]);
        const subject = factsOfEndpoint(compiled, endpointOfAddress(compiled, BACKEND_ONE.addresses[0]!), undefined);
        const blocks = rules.flatMap(({ peers }) => peers ?? []).filter(({ kind }) => kind === 'ipBlock');
        const some = blocks.length === 0 ? undefined : addressAt(blocks[nth % blocks.length]!, side);
        const peer = factsOf('outside', isKnown ? some : undefined);
        const asked = explainSide(compiled, 'ingress', subject, peer, subject, TCP_80);
        const { ingress } = compiled.source.policies[0]!;
        const fares = ingress.map((rule) => fareRule(rule, peer, 'source', subject, TCP_80, compiled.source.dialect));
        assert.deepEqual(
          asked.policies.map((policy) => policy.rules.map(({ match }) => match)),
          [fares.map(({ match }) => match)],
          'whoever looks at the rules sees each of them',
        );
        const certain = fares.find(({ match }) => match === 'yes');
        const perhaps = fares.filter(({ match }) => match === 'unknown');
        if (tier === 'networkpolicy') {
          const reason = certain ? Reason.AllowedByRule : perhaps[0] ? Reason.Undecidable : Reason.NoRuleMatches;
          assert.equal(asked.reason, reason);
          if (certain === undefined)
            assert.equal(
              asked.missing,
              perhaps.reduce((mask, own) => mask | own.missing, 0),
            );
        } else if (perhaps.length === 0)
          assert.equal(
            asked.reason,
            certain?.rule.action === 'Accept'
              ? Reason.AllowedByRule
              : certain?.rule.action === 'Deny'
                ? Reason.DeniedByRule
                : Reason.NotIsolated,
          );
        const admitting = fares.filter(({ match, rule }) => match === 'yes' && rule.action === 'Accept');
        if (asked.reason === Reason.AllowedByRule)
          assert.deepEqual(
            asked.deciders?.map(({ rule }) => rule.index),
            (tier === 'admin' ? admitting.slice(0, 1) : admitting).map(({ rule }) => rule.index),
          );
        if (asked.reason === Reason.NoRuleMatches || asked.reason === Reason.Undecidable) {
          const near = fares.filter(({ why, rule }) => why !== undefined && rule.action === 'Accept');
          const nearest = near.length === 0 ? undefined : nearestOf(near);
          const shown = nearest !== undefined && nearest.nearness > 0 ? nearest : undefined;
          assert.deepEqual([asked.nearest?.rule.index, asked.nearest?.why], [shown?.rule.index, shown?.why?.()]);
          if (shown !== undefined) reached.nearest++;
        }
        if (asked.reason === Reason.AllowedByRule) reached.allowed++;
        if (asked.reason === Reason.NoRuleMatches || asked.reason === Reason.DeniedByRule) reached.denied++;
        if (asked.reason === Reason.Undecidable) reached.open++;
        if (rulesToAsk(ingress, peer.address).length < rules.length) reached.spared++;
      },
    ),
    { seed, numRuns: runs(300) },
  );
  for (const [what, count] of Object.entries(reached)) assert.ok(count > 10, `${what} ${count}`);
});

test('an explanation looks at few of many blocks, and puts no peer into words that nobody asks for', () => {
  let looks = 0;
  const counted = (at: number): Peer => ({
    kind: 'ipBlock',
    get cidr() {
      looks++;
      return cidrOf(4, [0x14000000 + at * 256], 24);
    },
    except: [],
  });
  const blocks = Array.from({ length: 500 }, (_, at) => counted(at));
  const shapes: readonly (readonly Rule[])[] = [
    [ruleOf({ peers: blocks })],
    blocks.map((block) => ruleOf({ peers: [block] })),
  ];
  for (const rules of shapes) {
    const compiled = program([admit({}, ...rules)]);
    const subject = factsOfEndpoint(compiled, endpointOfAddress(compiled, BACKEND_ONE.addresses[0]!), undefined);
    const ask = (address: string): ReturnType<typeof explainSide> =>
      explainSide(compiled, 'ingress', subject, factsOf('outside', address as AddressText), subject, TCP_80);
    ask('192.0.2.1');
    looks = 0;
    assert.equal(ask('20.0.7.1').decidedBy?.rule.index, rules.length === 1 ? 0 : 7);
    assert.equal(ask('192.0.2.2').nearest?.why, 'admits 20.0.0.0/24; the source is 192.0.2.2');
    assert.ok(looks < 10, `${looks} looks at 500 blocks`);
    const { policies } = ask('192.0.2.3');
    const peers = policies[0]!.rules.flatMap((rule) => rule.peers);
    assert.deepEqual(
      [peers.length, peers[499]!.why],
      [500, 'admits 20.1.243.0/24; the source is 192.0.2.3'],
      'all of them for who looks',
    );
    assert.equal(policies[0]!.rules, policies[0]!.rules, 'and once');
  }
});

test('rules that list blocks alone stand for each other where they share an action and their ports, and no empty list stands for any', () => {
  const block = (cidr: string, part: Partial<Rule> = {}): Rule => ruleOf({ peers: [blockPeer(cidr)], ...part });
  const https: readonly PortMatch[] = [{ kind: 'range', protocol: 'TCP', first: 443, last: 443 }];
  const rules = [
    ruleOf({ peers: [] }),
    ruleOf({}),
    block('10.0.0.0/8'),
    block('10.1.0.0/16', { action: 'Deny' }),
    block('10.0.0.0/9', { ports: https }),
    ruleOf({ peers: [blockPeer('20.0.0.0/8'), peerOf({})] }),
    ...Array.from({ length: 20 }, () => block('20.0.0.0/8')),
    block('10.1.1.0/24', { ports: https }),
    block('no block'),
    block('fd00::/8'),
  ].map((rule, index) => ({ ...rule, index }));
  const askedAt = (address: string | undefined): readonly number[] =>
    rulesToAsk(rules, address as AddressText | undefined).map(({ index }) => index);
  assert.deepEqual(askedAt(undefined), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(askedAt('192.0.2.1'), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(askedAt('10.1.1.1'), [0, 1, 2, 3, 4, 5, 26]);
  assert.deepEqual(askedAt('fd00::1'), [0, 1, 2, 3, 4, 5, 28]);
  assert.deepEqual(askedAt('20.0.0.1').length, 26);
  assert.equal(rulesToAsk(rules.slice(0, 16), undefined).length, 16, 'short lists are asked as they are');
});

function blockPeer(cidr: string): Peer {
  return { kind: 'ipBlock', cidr: cidr as Extract<Peer, { kind: 'ipBlock' }>['cidr'], except: [] };
}

function cidrOf(family: 4 | 6, words: readonly number[], length: number): ReturnType<typeof formatCidr> {
  const first = Uint32Array.from([...words, 0, 0, 0].slice(0, 4));
  maskWords(first, length);
  return formatCidr(family, first, length);
}

/** The first or last address of a block, or the one beside it; any, where the peer is none. */
function addressAt(peer: Peer, side: string): AddressText {
  const bits = peer.kind === 'ipBlock' ? parseCidr(peer.cidr) : undefined;
  if (bits === undefined) return '10.0.0.5' as AddressText;
  const { family, length } = bits;
  const words: AddressWords = bits.first.slice();
  const width = family === 4 ? 32 : 128;
  if (side === 'last' || side === 'after')
    for (let bit = length; bit < width; bit++) words[bit >>> 5] = words[bit >>> 5]! | (0x80000000 >>> (bit & 31));
  if (side === 'before' || side === 'after') step(words, width, side === 'after' ? 1 : -1);
  return formatAddress(family as Family, words);
}

/** The address beside another, round the end of all. */
function step(words: AddressWords, width: number, by: 1 | -1): void {
  for (let word = (width >>> 5) - 1; word >= 0; word--) {
    const before = words[word]!;
    words[word] = before + by;
    if (by === 1 ? before !== 0xffffffff : before !== 0) return;
  }
}

function factsOf(kind: Facts['kind'], address: AddressText | undefined): Facts {
  return {
    resolved: { kind, areLabelsComplete: true },
    kind,
    endpoint: -1,
    namespace: 'app',
    labels: new Map([['role', 'one']]),
    namespaceLabels: new Map(),
    areLabelsComplete: kind !== 'described',
    areNamespaceLabelsComplete: true,
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    ...(address !== undefined && { address }),
  };
}

function anyOf(fares: readonly RuleFare[]): Ternary {
  const matches = new Set(fares.map(({ match }) => match));
  return matches.has('yes') ? 'yes' : matches.has('unknown') ? 'unknown' : 'no';
}

/** The first of those that came nearest. */
function nearestOf(fares: readonly RuleFare[]): RuleFare {
  const most = Math.max(...fares.map(({ nearness }) => nearness));
  return fares.find(({ nearness }) => nearness === most)!;
}
