/** The service table, entry by entry: who stands behind a Service's port, at which of its addresses it is found, and where each entry lies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceSlot, ServiceTarget } from '../../src/compile/layout.ts';
import {
  type Backend,
  buildServiceTable,
  hashService,
  indexServices,
  listServices,
  type ServiceEntry,
} from '../../src/compile/service.ts';
import type { AddressText } from '../../src/model/address.ts';
import type { EndpointSlice, Node, Pod, Service, Snapshot } from '../../src/model/cluster.ts';
import { DEFAULT_DIALECT } from '../../src/model/dialect.ts';
import { BACKEND_ONE, BACKEND_TWO, FRONTEND, pod, SERVICE } from '../decide/world.ts';

const IN_B: Pod = { ...BACKEND_ONE, namespace: 'b' };
const PODS: readonly Pod[] = [BACKEND_ONE, BACKEND_TWO, FRONTEND, IN_B];
const addressed = (...list: readonly string[]): readonly AddressText[] => list as AddressText[];
const world = (part: Partial<Snapshot>): Snapshot => ({
  namespaces: [],
  pods: PODS,
  nodes: [],
  services: [],
  endpointSlices: [],
  ...part,
});
const slice = (family: 4 | 6, part: Partial<EndpointSlice>): EndpointSlice => ({
  namespace: 'app',
  name: 's',
  service: 'backend',
  family,
  endpoints: [],
  ports: [{ protocol: 'TCP', port: 9000 }],
  ...part,
});
const [PORT] = SERVICE.ports;

/** Backends in short: `pod:port` or `address:port`. */
const short = (list: readonly Backend[]): string =>
  list.map((own) => `${own.pod ?? own.address}:${own.port}`).join(' ');

test('SV-02: a selector takes the living pods of its namespace that have all of its labels; no selector takes nobody', () => {
  const pods: readonly Pod[] = [
    ...PODS,
    { ...BACKEND_ONE, name: 'done', phase: 'Succeeded' },
    { ...BACKEND_ONE, name: 'lost', phase: 'Failed' },
    { ...BACKEND_ONE, name: 'soon', phase: 'Pending' },
    { ...BACKEND_ONE, name: 'host', hostNetwork: true },
  ];
  const { backends, members, dependsOnFamily } = indexServices(world({ pods }));
  const taken = (selector: Readonly<Record<string, string>> | undefined, namespace = 'app'): string => {
    const service = { ...SERVICE, namespace, selector: selector && new Map(Object.entries(selector)) };
    const [first, again] = [4, undefined].map((family) => short(backends(service, PORT!, family as 4 | undefined)));
    assert.equal(first, again);
    assert.equal(dependsOnFamily(service), false);
    assert.equal(short(members(service, 6, 77)), first!.replaceAll(':8080', ':77'));
    return first!;
  };
  assert.equal(taken({ tier: 'backend' }), '0:8080 1:8080 6:8080 7:8080');
  assert.equal(taken({ tier: 'backend', role: 'two' }), '1:8080');
  assert.equal(taken({ role: 'two', tier: 'backend', env: 'test' }), '');
  assert.equal(taken({ tier: 'backend' }, 'b'), '3:8080');
  assert.equal(taken({ tier: 'backend' }, 'c'), '');
  assert.equal(taken({}), '');
  assert.equal(taken(undefined), '');
});

test('SV-03: a target port is a number, a name of the backend and protocol, else the Service’s own', () => {
  const named = (name: string, port: number, protocol: 'TCP' | 'UDP' = 'TCP'): Pod['ports'][number] => ({
    name,
    port,
    protocol,
  });
  const pods = [
    { ...BACKEND_ONE, ports: [named('other', 1), named('web', 2, 'UDP'), named('web', 3), named('web', 4)] },
    { ...BACKEND_TWO, ports: [named('other', 5)] },
  ];
  const { backends } = indexServices(world({ pods }));
  const at = (targetPort: number | string | undefined, protocol: 'TCP' | 'UDP' = 'TCP'): string =>
    short(backends(SERVICE, { protocol, port: 80, ...(targetPort !== undefined && { targetPort }) }, undefined));
  assert.equal(at(8080), '0:8080 1:8080');
  assert.equal(at(undefined), '0:80 1:80');
  assert.equal(at('web'), '0:3');
  assert.equal(at('web', 'UDP'), '0:2');
  assert.equal(at('other'), '0:1 1:5');
  assert.equal(at('none'), '');
});

test('SV-03: slices come before the selector: pods of the Service’s namespace by name, else the first address; ports by protocol and name', () => {
  const one = { namespace: 'app', name: 'one' };
  const endpointSlices = [
    slice(4, {
      endpoints: [
        { addresses: addressed('10.0.0.1'), pod: one },
        { addresses: addressed('10.9.9.1', '10.9.9.2'), pod: { namespace: 'b', name: 'one' } },
        { addresses: addressed('10.9.9.3'), pod: { namespace: 'app', name: 'nobody' } },
        { addresses: addressed('10.9.9.4') },
        { addresses: [] },
      ],
    }),
    slice(6, { endpoints: [{ addresses: addressed('fd00::7') }] }),
    slice(4, { service: 'other', endpoints: [{ addresses: addressed('10.9.9.5') }] }),
    slice(4, { namespace: 'b', endpoints: [{ addresses: addressed('10.9.9.6') }] }),
  ];
  const { backends, members, dependsOnFamily } = indexServices(world({ endpointSlices }));
  assert.equal(short(backends(SERVICE, PORT!, 4)), '0:9000 10.9.9.1:9000 10.9.9.3:9000 10.9.9.4:9000');
  assert.equal(short(backends(SERVICE, PORT!, 6)), 'fd00::7:9000');
  assert.equal(
    short(backends(SERVICE, PORT!, undefined)),
    '0:9000 10.9.9.1:9000 10.9.9.3:9000 10.9.9.4:9000 fd00::7:9000',
  );
  assert.deepEqual(members(SERVICE, 6, 78), [{ address: 'fd00::7', port: 78 }]);
  assert.equal(short(members(SERVICE, 4, 5)), '0:5 10.9.9.1:5 10.9.9.3:5 10.9.9.4:5');
  assert.ok(dependsOnFamily(SERVICE));
  assert.ok(!dependsOnFamily({ ...SERVICE, namespace: 'c' }));

  const withPorts = (ports: EndpointSlice['ports']): ReturnType<typeof indexServices> =>
    indexServices(world({ endpointSlices: [slice(4, { endpoints: [{ addresses: [], pod: one }], ports })] }));
  const several = withPorts([
    { protocol: 'UDP', port: 1 },
    { protocol: 'TCP', name: 'a', port: 2 },
    { protocol: 'TCP', name: '', port: 3 },
    { protocol: 'TCP', name: 'open' },
  ]);
  const portOf = (part: Partial<Service['ports'][number]>): string =>
    short(several.backends(SERVICE, { protocol: 'TCP', port: 80, ...part }, 4));
  assert.equal(portOf({}), '0:3');
  assert.equal(portOf({ name: '' }), '0:3');
  assert.equal(portOf({ name: 'a' }), '0:2');
  assert.equal(portOf({ protocol: 'UDP' }), '0:1');
  assert.equal(portOf({ protocol: 'SCTP' }), '');
  assert.equal(portOf({ name: 'none' }), '');
  assert.equal(portOf({ name: 'open', targetPort: 8443 }), '0:8443');
  assert.equal(portOf({ name: 'open', targetPort: 'web' }), '0:80');
});

test('a slice’s pod is the first living one of its name', () => {
  const endpointSlices = [slice(4, { endpoints: [{ addresses: [], pod: { namespace: 'app', name: 'one' } }] })];
  const pods: readonly Pod[] = [IN_B, { ...BACKEND_ONE, phase: 'Failed' }, BACKEND_ONE, { ...BACKEND_ONE }];
  const { backends } = indexServices(world({ pods, endpointSlices }));
  assert.equal(short(backends(SERVICE, PORT!, 4)), '2:9000');
});

test('SV-01, SV-06: entries of a Service: by name, at its addresses of each family, at node ports; after them host ports of nodes', () => {
  const NODES: readonly Node[] = [
    { name: 'n', labels: new Map(), addresses: addressed('192.168.0.1', 'fd00::9', '192.168.0.2'), podCidrs: [] },
    { name: 'm', labels: new Map(), addresses: addressed('192.168.0.3'), podCidrs: [] },
  ];
  const hostPort = { port: 8080, protocol: 'TCP', hostPort: 80 } as const;
  const pods: readonly Pod[] = [
    {
      ...BACKEND_ONE,
      node: 'n',
      ports: [hostPort, { port: 53, protocol: 'UDP', hostPort: 5353 }, { port: 1, protocol: 'TCP' }],
    },
    { ...BACKEND_TWO, node: 'n', ports: [hostPort] },
    { ...pod('three', '10.0.0.3', {}), node: 'n', ports: [hostPort], phase: 'Failed' },
    { ...pod('four', '10.0.0.4', {}), node: 'n', ports: [hostPort], hostNetwork: true },
    { ...pod('five', '10.0.0.5', {}), ports: [hostPort] },
    { ...pod('six', '10.0.0.6', {}), node: 'm', ports: [{ port: 1, protocol: 'TCP' }] },
  ];
  const services: readonly Service[] = [
    {
      ...SERVICE,
      clusterAddresses: addressed('10.96.0.1', 'fd00::1'),
      externalAddresses: addressed('203.0.113.1', 'fd00::2'),
      ports: [
        { protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30_080 },
        { protocol: 'UDP', port: 53 },
      ],
    },
    { ...SERVICE, name: 'second', clusterAddresses: [], ports: [{ protocol: 'SCTP', port: 7 }] },
  ];
  const endpointSlices = [
    slice(4, { service: 'second', endpoints: [{ addresses: addressed('10.1.1.1') }], ports: [{ protocol: 'SCTP' }] }),
    slice(6, { service: 'second', endpoints: [{ addresses: addressed('fd00::3') }], ports: [{ protocol: 'SCTP' }] }),
  ];
  const numbers: AddressText[] = [];
  const endpointOf = (address: AddressText): number => {
    if (!numbers.includes(address)) numbers.push(address);
    return numbers.indexOf(address);
  };
  const snapshot = world({ pods, nodes: NODES, services, endpointSlices });
  const text = ({ targets, family, protocol, port, backends }: ServiceEntry): string =>
    `${targets.map((target) => numbers[target] ?? target.toString(16)).join()} ${family} ${protocol}/${port} ${short(backends)}`;
  const own = [
    '80000000 undefined TCP/80 0:8080 1:8080',
    'a0000000,10.96.0.1,203.0.113.1 4 TCP/80 0:8080 1:8080',
    'ffffffff 4 TCP/30080 0:8080 1:8080',
    'c0000000,fd00::1,fd00::2 6 TCP/80 0:8080 1:8080',
    'fffffffe 6 TCP/30080 0:8080 1:8080',
    '80000000 undefined UDP/53 0:53 1:53',
    'a0000000,10.96.0.1,203.0.113.1 4 UDP/53 0:53 1:53',
    'c0000000,fd00::1,fd00::2 6 UDP/53 0:53 1:53',
    '80000001 undefined SCTP/7 10.1.1.1:7 fd00::3:7',
    'a0000001 4 SCTP/7 10.1.1.1:7',
    'c0000001 6 SCTP/7 fd00::3:7',
  ];
  const hosts = [
    '192.168.0.1,192.168.0.2 4 TCP/80 0:8080 1:8080',
    '192.168.0.1,192.168.0.2 4 UDP/5353 0:53',
    'fd00::9 6 TCP/80 0:8080 1:8080',
    'fd00::9 6 UDP/5353 0:53',
  ];
  assert.deepEqual(listServices(snapshot, DEFAULT_DIALECT, endpointOf).map(text), [...own, ...hosts]);
  assert.deepEqual(listServices(snapshot, { ...DEFAULT_DIALECT, hostPort: 'ignore' }, endpointOf).map(text), own);
});

test('the table is a power of two of slots, at most half full; every entry is where its hash, or a slot behind it, says', () => {
  for (let count = 0; count <= 70; count++) {
    const entries: readonly ServiceEntry[] = Array.from({ length: count }, (_, index) => ({
      targets: [index >> 2, ServiceTarget.ByName4 + (index >> 2)],
      family: 4,
      protocol: (['TCP', 'UDP', 'SCTP'] as const)[index % 3]!,
      port: 65_535 - (index % 4),
      backends: Array.from({ length: index % 5 }, (_own, at) => ({ pod: index, port: at - 1 })),
    }));
    const asked: unknown[] = [];
    const { serviceSlots, backends } = buildServiceTable(entries, ({ pod: own, port }, family) => {
      asked.push(family);
      return own! * 100 + port;
    });
    const size = serviceSlots.length / ServiceSlot.Stride;
    assert.equal(size, Math.max(2, 2 ** Math.ceil(Math.log2(count * 4 || 1))), `${count} entries`);
    assert.ok(asked.every((family) => family === 4));
    const seen = new Set<number>();
    let first = 0;
    for (const { targets, protocol, port, backends: list } of entries) {
      const key = ['TCP', 'UDP', 'SCTP'].indexOf(protocol) * 65_536 + port;
      for (const target of targets) {
        let slot = hashService(target, key) & (size - 1);
        const words = (): number[] => [
          ...serviceSlots.subarray(slot * ServiceSlot.Stride, (slot + 1) * ServiceSlot.Stride),
        ];
        while (words()[ServiceSlot.Target] !== target || words()[ServiceSlot.Port] !== key) {
          assert.notEqual(words()[ServiceSlot.CountPlusOne], 0, 'no empty slot on the way');
          slot = (slot + 1) % size;
        }
        assert.deepEqual(words(), [target, key, first, list.length + 1]);
        seen.add(slot);
      }
      for (const { pod: own, port: number } of list) {
        assert.deepEqual([...backends.subarray(first * 2, first * 2 + 2)], [own! * 100 + number, number]);
        first++;
      }
    }
    assert.equal(backends.length, first * 2);
    const filled = serviceSlots.filter((own, at) => at % ServiceSlot.Stride === ServiceSlot.CountPlusOne && own > 0);
    assert.equal(filled.length, seen.size);
  }
});

test('SV-06: the first that claims an address and port keeps it', () => {
  const entry = (target: number, port: number, own: number): ServiceEntry => ({
    targets: [target],
    family: undefined,
    protocol: 'TCP',
    port,
    backends: [{ pod: own, port: 1 }],
  });
  const entries = [entry(5, 80, 0), entry(5, 80, 1), entry(5, 81, 2), entry(6, 80, 3), entry(5, 81, 4)];
  const { serviceSlots } = buildServiceTable(entries, ({ pod: own }) => own!);
  const filled: string[] = [];
  for (let at = 0; at < serviceSlots.length; at += ServiceSlot.Stride)
    if (serviceSlots[at + ServiceSlot.CountPlusOne]! > 0)
      filled.push(serviceSlots.subarray(at, at + ServiceSlot.Stride).join());
  assert.deepEqual(filled.sort(), ['5,80,0,2', '5,81,2,2', '6,80,3,2']);
});
