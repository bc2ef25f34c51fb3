/** The Program: pages, port classes, its buffer, and how its tables grow (counted in rows, columns and pages, not in seconds). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from '../../src/compile/compile.ts';
import { Header, Layout, PortClass, PortIndex, portIndexOf, Row, Section } from '../../src/compile/layout.ts';
import { PageStore } from '../../src/compile/page.ts';
import { classifyPorts, type PortRange } from '../../src/compile/port.ts';
import { InvalidProgram, Program } from '../../src/compile/program.ts';
import { decide, findEndpoint4, findEndpoint6 } from '../../src/decide/decide.ts';
import { judge } from '../../src/decide/judge.ts';
import { arbitraryCase } from '../../src/fuzz/arbitrary-flow.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { Pod, Snapshot } from '../../src/model/cluster.ts';
import type { Selector } from '../../src/model/label.ts';
import type { Peer, Policy, Rule } from '../../src/model/policy.ts';
import { MissingFact, Verdict } from '../../src/model/verdict.ts';
import { adversarial } from '../../bench/adversarial.ts';
import { ask } from '../law/outcome.ts';
import { runs, seed } from '../law/seed.ts';

const IN_A = { kind: 'named', namespace: 'a' } as const;
const POSITION = { file: 'world', line: 1, column: 1 };

// Pages.

test('a page is kept once for each content, and reads back as it was', () => {
  const page = fc.array(fc.nat(2), { minLength: 64, maxLength: 64 });
  fc.assert(
    fc.property(fc.array(page, { minLength: 1, maxLength: 300 }), (pages) => {
      const store = new PageStore();
      const numbers = pages.map((words) => store.intern(Uint32Array.from(words)));
      const data = store.copy(new Uint16Array(store.size * 64));
      pages.forEach((words, index) =>
        assert.deepEqual([...data.subarray(numbers[index]! * 64, numbers[index]! * 64 + 64)], words),
      );
      const distinct = new Set(pages.map((words) => words.join())).size;
      assert.equal(new Set(numbers).size, distinct);
      assert.equal(data.length, distinct * 64);
    }),
    { seed, numRuns: runs(30) },
  );
});

// Ports.

test('ports of one class are in the same ranges, and a shape holds exactly the classes of its ranges', () => {
  const end = fc.oneof(fc.constantFrom(0, 1, 79, 80, 81, 65_534, 65_535), fc.nat(65_535));
  const range = fc
    .tuple(fc.nat(2), end, end)
    .map(([protocol, a, b]): PortRange => ({ protocol, first: Math.min(a, b), last: Math.max(a, b) }));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 12 }), (ranges) => {
      const classes = classifyPorts(ranges);
      const shape = classes.shape({ ranges, unresolved: [] });
      for (let protocol = 0; protocol < 3; protocol++)
        for (const port of [0, 1, 65_535, ...ranges.flatMap(({ first, last }) => [first - 1, first, last, last + 1])]) {
          if (port < 0 || port > 65_535) continue;
          const portClass = classes.table[protocol * 65_536 + port]!;
          const isIn = ranges.some((own) => own.protocol === protocol && own.first <= port && port <= own.last);
          assert.equal(shape.yes.includes(portClass), isIn, `${protocol}/${port}`);
          assert.ok(portClass >= PortClass.First && portClass < classes.count);
        }
      assert.ok(classes.count <= PortClass.First + 3 + 2 * ranges.length);
      for (let protocol = 0; protocol < 3; protocol++) {
        const isWhole = ranges.some((own) => own.protocol === protocol && own.first <= 1 && own.last === 65_535);
        assert.equal(
          shape.yes.includes(PortClass.UnknownTcp + protocol),
          isWhole,
          'without a port only all ports match',
        );
      }
    }),
    { seed, numRuns: runs(150) },
  );
});

test('what a port that is not known, or a protocol, may be: a matter of the range, the same in each protocol', () => {
  const all: PortRange[] = [0, 1, 2].flatMap((protocol) => [
    { protocol, first: 1, last: 65_535 },
    { protocol, first: 2, last: 65_535 },
    { protocol, first: 1, last: 65_534 },
  ]);
  const classes = classifyPorts(all);
  for (const [index, range] of all.entries()) {
    const { yes, maybe } = classes.shape({ ranges: [range], unresolved: [] });
    const unknown = PortClass.UnknownTcp + range.protocol;
    const isEvery = index % 3 === 0;
    assert.equal(yes.includes(unknown), isEvery);
    const expected = new Map([[PortClass.UnknownProtocol, MissingFact.NoProtocol]]);
    if (!isEvery) expected.set(unknown, MissingFact.NoPort);
    assert.deepEqual(new Map(maybe.map(({ portClass, missing }) => [portClass, missing])), expected);
  }
});

test('a range is covered where it ends as others do, at both ends and in its own protocol', () => {
  const { covers } = classifyPorts([
    { protocol: 0, first: 80, last: 90 },
    { protocol: 1, first: 100, last: 65_535 },
  ]);
  const cases: readonly (readonly [number, number, number, boolean])[] = [
    [0, 80, 90, true],
    [0, 0, 79, true],
    [0, 91, 65_535, true],
    [0, 0, 65_535, true],
    [0, 80, 65_535, true],
    [0, 80, 89, false],
    [0, 81, 90, false],
    [0, 82, 65_535, false],
    [0, 100, 65_535, false],
    [1, 100, 65_535, true],
    [1, 0, 99, true],
    [1, 80, 90, false],
    [2, 0, 65_535, true],
    [2, 80, 90, false],
  ];
  for (const [protocol, first, last, isCovered] of cases)
    assert.equal(covers({ protocol, first, last }), isCovered, `${protocol} ${first}-${last}`);
});

test('a name that nobody could resolve may mean any port of its protocol', () => {
  const { shape, table } = classifyPorts([{ protocol: 0, first: 80, last: 80 }]);
  const { maybe, yes } = shape({ ranges: [], unresolved: [0] });
  assert.deepEqual(yes, []);
  const missing = (index: number): number | undefined => maybe.find((item) => item.portClass === table[index])?.missing;
  assert.equal(missing(PortIndex.Tcp + 80), MissingFact.UnresolvedNamedPort);
  assert.equal(missing(PortIndex.Tcp + 1), MissingFact.UnresolvedNamedPort);
  assert.equal(missing(PortIndex.Udp + 80), undefined);
});

test('more port classes than their 16 bits hold are refused, not numbered twice', () => {
  const ranges = [0, 1].flatMap((protocol) =>
    Array.from({ length: 32_768 }, (_, index) => ({ protocol, first: index * 2, last: index * 2 })),
  );
  assert.throws(() => classifyPorts(ranges), RangeError);
});

test('every protocol and port has a place of its own in the port table', () => {
  const places = [
    ...[6, 17, 132].flatMap((protocol) => [-1, 0, 65_535].map((port) => portIndexOf(protocol, port, -1))),
    ...Array.from({ length: 256 }, (_, protocol) => protocol)
      .filter((protocol) => ![6, 17, 132].includes(protocol))
      .map((protocol) => portIndexOf(protocol, -1, -1)),
    portIndexOf(58, -1, 135 << 8),
  ];
  assert.equal(new Set(places).size, places.length);
  assert.ok(places.every((place) => place >= 0 && place < PortIndex.Count));
});

// The buffer.

test(`a Program read back from its buffer, or from a copy of it, decides alike (seed ${seed})`, () => {
  let decided = 0;
  fc.assert(
    fc.property(arbitraryCase({ tiers: 'all', dialect: 'any' }, 20), ({ world, flows }) => {
      const program = compile(world.snapshot, world.policies, world.dialect);
      const shared = new SharedArrayBuffer(program.buffer.byteLength);
      new Uint8Array(shared).set(new Uint8Array(program.buffer));
      for (const buffer of [program.buffer, program.buffer.slice(0), shared]) {
        const again = Program.from(buffer, program.source);
        for (const flow of flows) {
          decided++;
          assert.deepEqual(
            ask({ judge: (own) => judge(again, own) }, flow),
            ask({ judge: (own) => judge(program, own) }, flow),
          );
        }
      }
    }),
    { seed, numRuns: runs(20) },
  );
  assert.ok(decided > 200);
});

test('a buffer that is no Program of this version, or that is cut, is refused', () => {
  const { buffer, source } = compile(cluster([]), []);
  const changed = (word: Header, value: number): ArrayBuffer => {
    const copy = buffer.slice(0) as ArrayBuffer;
    new Uint32Array(copy)[word] = value;
    return copy;
  };
  const refuses = (bytes: ArrayBufferLike, message: RegExp): void =>
    assert.throws(
      () => Program.from(bytes, source),
      (error) => error instanceof InvalidProgram && message.test(error.message),
    );
  refuses(changed(Header.Magic, 0), /magic/);
  refuses(changed(Header.Version, Layout.Version + 1), /version/);
  refuses(changed(Header.Sections, 3), /Program/);
  refuses(new ArrayBuffer(0), /header/);
  refuses(buffer.slice(0, buffer.byteLength - 8), /bytes/);
  for (const size of [0, 8, 63, 64, 100, 1000, buffer.byteLength - 1])
    assert.throws(() => Program.from(buffer.slice(0, size), source), InvalidProgram, `${size} bytes`);
  // The header may lie about its own size: the sections are held against the buffer.
  const cut = changed(Header.Bytes, 1000).slice(0, 1000);
  refuses(cut, /cut/);
});

test('every section is named, begins at a multiple of eight bytes, and ends within the buffer', () => {
  const { buffer, source } = compile(cluster([podOf(0, { app: 'a' })]), [ownPolicy('a', 'a')]);
  const [id, offset, count] = [0, 1, 2] as const;
  for (let section = 0; section < Section.Count; section++) {
    const at = Header.Size + section * 3;
    const directory = new Uint32Array(buffer).subarray(at, at + 3);
    assert.equal(directory[id], section);
    assert.equal(directory[offset]! % 8, 0);
    const changes: readonly (readonly [word: 0 | 1 | 2, value: number])[] = [
      [id, section + 1],
      [offset, directory[offset]! - 4],
      [offset, directory[offset]! + 4],
      [offset, buffer.byteLength + 8],
      [count, buffer.byteLength],
    ];
    for (const [word, value] of changes) {
      const copy = buffer.slice(0) as ArrayBuffer;
      new Uint32Array(copy)[at + word] = value;
      assert.throws(
        () => Program.from(copy, source),
        (error) => error instanceof InvalidProgram && /is cut, or not where it should be/.test(error.message),
        `${section} ${word} ${value}`,
      );
    }
  }
  for (const bytes of [0, 1, 3, 8]) {
    const copy = buffer.slice(0) as ArrayBuffer;
    new Uint32Array(copy)[Header.CellBytes] = bytes;
    assert.throws(() => Program.from(copy, source), /cells of 2 or 4 bytes/);
  }
});

test('named ports tell rows apart where a policy of the row asks for them on ingress, and nowhere else', () => {
  const http = (port: number): Pod['ports'] => [{ name: 'http', port, protocol: 'TCP' }];
  const pods = ['a', 'a', 'b', 'b'].map((app, index) => ({ ...podOf(index, { app }), ports: http(8000 + index) }));
  const plain = ownPolicy('b', 'a');
  const named: Policy = {
    ...ownPolicy('a', 'b'),
    ingress: [{ ...ownPolicy('a', 'b').ingress[0]!, ports: [{ kind: 'named', protocol: 'TCP', name: 'http' }] }],
  };
  const out: Policy = { ...ownPolicy('a', 'b'), name: 'out', isolates: ['egress'], ingress: [], egress: named.ingress };
  const program = compile(cluster(pods), [named, plain, out]);
  const rowsOf = (direction: 'egress' | 'ingress'): number =>
    program[`${direction}PageIndex`].length /
    program.header[direction === 'egress' ? Header.EgressPagesPerRow : Header.IngressPagesPerRow]!;
  assert.equal(rowsOf('ingress'), Row.First + 3, 'one for each pod of a, one for both of b');
  assert.equal(rowsOf('egress'), Row.First + 1, 'one for both pods of a, whatever their own ports are called');
});

test(`a damaged buffer is refused, or decides every flow as something: it never crashes and never hangs (seed ${seed})`, () => {
  let taken = 0;
  let refused = 0;
  // Words that are likely to hurt: small, large, negative, and what other words of the buffer hold.
  const word = fc.oneof(fc.nat(300), fc.constantFrom(-1, 0x7fffffff, -0x80000000, 65_535, 65_536), fc.integer());
  const edits = fc.array(fc.tuple(fc.nat(), fc.nat(2), word), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(
      arbitraryCase({ tiers: 'all', dialect: 'any' }, 10),
      fc.array(edits, { minLength: 8, maxLength: 8 }),
      (item, list) => {
        const { world, flows } = item;
        const { buffer, source } = compile(world.snapshot, world.policies, world.dialect);
        const program = Program.from(buffer, source);
        // Where each section of 32-bit words lies; most are small, and all of them shall be hit.
        const sections = Object.values(program).filter(
          (view): view is Int32Array => ArrayBuffer.isView(view) && view.byteLength >= 4 && view.byteOffset % 4 === 0,
        );
        for (const own of list) {
          const copy = buffer.slice(0) as ArrayBuffer;
          for (const [at, kind, value] of own) {
            const { byteOffset, byteLength } = sections[at % sections.length]!;
            const place =
              kind === 0 ? at % (copy.byteLength >> 2) : (byteOffset >> 2) + ((at >> 5) % (byteLength >> 2));
            new Int32Array(copy)[place] = value;
          }
          let damaged: Program;
          try {
            damaged = Program.from(copy, source);
          } catch (error) {
            assert.ok(error instanceof InvalidProgram, String(error));
            refused++;
            continue;
          }
          taken++;
          for (const flow of flows) {
            const outcome = ask({ judge: (asked) => judge(damaged, asked) }, flow);
            assert.ok(outcome === 'unknown-name' || (outcome.verdict >= 0 && outcome.verdict <= 2));
          }
          decide(damaged, findEndpoint4(damaged, 0x0a000001), findEndpoint6(damaged, 1, 2, 3, 4), 6, 80, -1);
        }
      },
    ),
    { seed, numRuns: runs(25) },
  );
  assert.ok(taken >= 5 && refused >= 30, `${taken} taken, ${refused} refused`);
});

test('random bytes behind a sound head are refused', () => {
  const { buffer } = compile(cluster([podOf(0, { app: 'a' })]), [ownPolicy('a', 'a')]);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 64, maxLength: 256 }), fc.nat(2), (noise, from) => {
      const copy = new Uint8Array(buffer.slice(0) as ArrayBuffer);
      const start = [0, 16, 400][from]!;
      for (let at = start; at < copy.length; at++) copy[at] = noise[at % noise.length]!;
      if (noise.every((byte) => byte === 0)) return;
      assert.throws(() => Program.from(copy.buffer), InvalidProgram);
    }),
    { seed, numRuns: runs(30) },
  );
});

test('a Program without its source decides by address, and says what it lacks when it is asked for names', () => {
  const { buffer } = compile(cluster([podOf(0, { app: 'a' }), podOf(1, { app: 'b' })]), [ownPolicy('a', 'a')]);
  const program = Program.from(buffer);
  const [a, b] = [findEndpoint4(program, 0x0a000000), findEndpoint4(program, 0x0a000001)];
  assert.equal(decide(program, b, a, 6, 80, -1) & 3, Verdict.Deny);
  assert.equal(decide(program, a, b, 6, 80, -1) & 3, Verdict.Allow);
  assert.throws(() => judge(program, { src: nameOf(0), dst: nameOf(1), protocol: 6, port: 80 }), InvalidProgram);
});

test('compiling the same again gives the same bytes', () => {
  const snapshot = cluster(Array.from({ length: 50 }, (_, index) => podOf(index, { app: `a${index % 5}` })));
  const policies = [ownPolicy('a1', 'a2'), ownPolicy('a2', 'a3')];
  assert.deepEqual(
    Buffer.from(compile(snapshot, policies).buffer as ArrayBuffer),
    Buffer.from(compile(snapshot, policies).buffer as ArrayBuffer),
  );
});

// Growth.

test('replicas add no row, no column and no page', () => {
  const policies = [ownPolicy('a1', 'a2'), ownPolicy('a2', 'a3')];
  const sizes = [5, 50, 500].map((count) =>
    sizeOf(
      compile(cluster(Array.from({ length: count }, (_, index) => podOf(index, { app: `a${index % 5}` }))), policies),
    ),
  );
  assert.deepEqual(sizes[1], sizes[0]);
  assert.deepEqual(sizes[2], sizes[0]);
});

test('labels that no policy asks for, unique on every pod, add no row, no column and no page', () => {
  const policies = [ownPolicy('a1', 'a2')];
  const sizes = [20, 1000].map((count) =>
    sizeOf(
      compile(
        cluster(
          Array.from({ length: count }, (_, index) =>
            podOf(index, { app: `a${index % 5}`, 'pod-template-hash': `h${index}`, ordinal: String(index) }),
          ),
        ),
        policies,
      ),
    ),
  );
  assert.deepEqual(sizes[1], sizes[0]);
});

test('2,000 pods with a policy each: pages grow with what policies say, and no dense table is made', () => {
  const count = 2000;
  const pods = Array.from({ length: count }, (_, index) => podOf(index, { app: `a${index}` }));
  const policies = pods.map((_, index) => ownPolicy(`a${index}`, `a${(index + 1) % count}`));
  const program = compile(cluster(pods), policies);
  const { rows, columns, pages, vectors } = sizeOf(program);
  assert.equal(rows, Row.First + count);
  assert.ok(columns >= count && columns < count + 200, `${columns} columns`);
  // Each row has one column of its own in one page; every other page is the one that denies.
  assert.ok(pages <= count + 10, `${pages} pages`);
  assert.ok(vectors <= 10, `${vectors} vectors`);
  assert.ok(program.ingressPages.length < (rows * columns) / 20, 'far from rows x columns');
  const verdict = (from: number, to: number): Verdict =>
    judge(program, { src: nameOf(from), dst: nameOf(to), protocol: 6, port: 80 }).verdict;
  for (const index of [0, 63, 64, 1999]) {
    assert.equal(verdict((index + 1) % count, index), Verdict.Allow);
    assert.equal(verdict((index + 2) % count, index), Verdict.Deny);
  }
});

test('values that no selector names, unique on every pod, add no row, no column and no page', () => {
  // The key is asked for, by its presence and by one value; all other values are one.
  const asks: Policy[] = [
    {
      ...ownPolicy('a1', 'a2'),
      name: 'present',
      subject: { namespaces: IN_A, pods: [{ key: 'ordinal', operator: 'Exists', values: [] }] },
    },
    {
      ...ownPolicy('a1', 'a2'),
      name: 'value',
      subject: { namespaces: IN_A, pods: [{ key: 'ordinal', operator: 'NotIn', values: ['7'] }] },
    },
  ];
  const sizes = [20, 1000].map((count) =>
    sizeOf(
      compile(
        cluster(
          Array.from({ length: count }, (_, index) => podOf(index, { app: `a${index % 5}`, ordinal: String(index) })),
        ),
        asks,
      ),
    ),
  );
  assert.deepEqual(sizes[1], sizes[0]);
});

test('cells are 16 bits wide as long as they can be, and wider where vectors are more: no number is used twice', () => {
  const side = 260;
  const port = (number: number) => [{ kind: 'range', protocol: 'TCP', first: number, last: number }] as const;
  const pods = Array.from({ length: side }, (_, index) => podOf(index, { app: `a${index}` }));
  // Pod r takes port 1000 + r from everybody, and every pod takes port 3000 + c from pod c: each pair has ports of its own.
  const policies = pods.flatMap((_, index): Policy[] => {
    const own = ownPolicy(`a${index}`, `a${index}`);
    const [rule] = own.ingress as [Rule];
    return [
      { ...own, name: `row-${index}`, ingress: [{ ...rule, peers: undefined, ports: port(1000 + index) }] },
      {
        ...own,
        name: `column-${index}`,
        subject: { namespaces: IN_A, pods: [] },
        ingress: [{ ...rule, ports: port(3000 + index) }],
      },
    ];
  });
  const program = compile(cluster(pods), policies);
  assert.ok(sizeOf(program).vectors > 65_536, `${sizeOf(program).vectors} vectors`);
  assert.deepEqual([program.header[Header.CellBytes], program.ingressPages.BYTES_PER_ELEMENT], [4, 4]);
  assert.equal(compile(cluster(pods), policies.slice(0, 10)).header[Header.CellBytes], 2);
  const again = Program.from(program.buffer, program.source);
  for (let from = 0; from < side; from += 37)
    for (let to = 1; to < side; to += 41) {
      if (from === to) continue;
      const allowed = (number: number): boolean =>
        decide(again, findEndpoint4(again, 0x0a000000 + from), findEndpoint4(again, 0x0a000000 + to), 6, number, -1) %
          4 ===
        Verdict.Allow;
      const expected = [1000 + to, 3000 + from];
      for (const number of [1000 + to - 1, 1000 + to, 3000 + from, 3000 + from + 1])
        assert.equal(allowed(number), expected.includes(number), `${from} to ${to}, port ${number}`);
    }
});

test('10,000 pods with a policy each, from one other pod each, take less than 16 MiB', () => {
  const { snapshot, policies } = adversarial(10_000);
  const program = compile(snapshot, policies);
  const { rows, columns, pages } = sizeOf(program);
  assert.deepEqual([rows, columns], [Row.First + 10_000, 10_003]);
  assert.ok(pages <= 10_010, `${pages} pages`);
  assert.ok(program.buffer.byteLength <= 16 * 2 ** 20, `${program.buffer.byteLength} bytes`);
});

test('the same policy a thousand times is one vector and one page', () => {
  const pods = Array.from({ length: 10 }, (_, index) => podOf(index, { app: `a${index}` }));
  const once = sizeOf(compile(cluster(pods), [ownPolicy('a1', 'a2')]));
  const often = sizeOf(
    compile(
      cluster(pods),
      Array.from({ length: 1000 }, () => ownPolicy('a1', 'a2')),
    ),
  );
  assert.deepEqual(often, once);
});

interface Size {
  readonly rows: number;
  readonly columns: number;
  readonly pages: number;
  readonly vectors: number;
}

/** Sizes of the ingress table; columns are rounded up to pages where no endpoint has them. */
function sizeOf(program: Program): Size {
  const { header, ingressPageIndex, ingressPages, endpoints, vectorPageIndex } = program;
  const columns = new Set<number>();
  for (let at = 0; at < endpoints.length; at += 8) columns.add(endpoints[at + 3]!);
  return {
    rows: ingressPageIndex.length / header[Header.IngressPagesPerRow]!,
    columns: columns.size,
    pages: ingressPages.length / Layout.PageSize,
    vectors: vectorPageIndex.length / header[Header.PagesPerVector]!,
  };
}

function podOf(index: number, labels: Readonly<Record<string, string>>): Pod {
  return {
    namespace: 'a',
    name: `p${index}`,
    labels: new Map(Object.entries(labels)),
    addresses: [`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}` as AddressText],
    phase: 'Running',
    hostNetwork: false,
    ports: [],
    workload: { kind: 'Pod', namespace: 'a', name: `p${index}` },
    count: 1,
    isStandIn: false,
    position: POSITION,
  };
}

function cluster(pods: readonly Pod[]): Snapshot {
  return {
    namespaces: [{ name: 'a', labels: new Map([['kubernetes.io/metadata.name', 'a']]) }],
    pods,
    nodes: [],
    services: [],
    endpointSlices: [],
  };
}

/** Pods with `app: subject` take TCP 80 from pods with `app: peer`. */
function ownPolicy(subject: string, peer: string): Policy {
  const select = (value: string): Selector => [{ key: 'app', operator: 'In', values: [value] }];
  const here = { kind: 'named', namespace: 'a' } as const;
  const from: Peer = { kind: 'pods', namespaces: here, pods: select(peer) };
  const rule: Rule = {
    index: 0,
    action: 'Accept',
    peers: [from],
    ports: [{ kind: 'range', protocol: 'TCP', first: 80, last: 80 }],
    position: POSITION,
  };
  return {
    kind: 'NetworkPolicy',
    namespace: 'a',
    name: `${subject}-from-${peer}`,
    tier: 'networkpolicy',
    priority: 0,
    subject: { namespaces: here, pods: select(subject) },
    isolates: ['ingress'],
    ingress: [rule],
    egress: [],
    position: POSITION,
  };
}

function nameOf(index: number): { kind: 'name'; namespace: string; name: string } {
  return { kind: 'name', namespace: 'a', name: `p${index}` };
}
