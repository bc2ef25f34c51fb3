/**
 * Endpoints: one number for every pod, node and Service address, and one for each kind of everything else. The number leads
 * to the row and column of each table; addresses lead to it through the trie.
 */
import { type AddressText, familyOf, parseAddress } from '../model/address.ts';
import type { Pod, Snapshot } from '../model/cluster.ts';
import type { Dialect } from '../model/dialect.ts';
import { addressKey, type AddressKey, classifyBlocks, classOfAddress, type Intervals } from './block.ts';
import { type Columns, numberElements } from './column.ts';
import { Endpoint, EndpointKind, Row } from './layout.ts';
import { buildLookup6, type Lookup6 } from './search6.ts';
import { buildLookup4, type Lookup4, overlayPoints, type ValueIntervals } from './trie.ts';
import { isGoverned, type UnitIndex } from './unit.ts';

/** What `finish` translates by: rows of each unit, and final numbers of the columns given so far. */
export interface Numbering {
  readonly egressRows: Int32Array;
  readonly ingressRows: Int32Array;
  readonly egressColumns: Int32Array;
  readonly ingressColumns: Int32Array;
}

/** The endpoint records and every way to find one. */
export interface EndpointIndex {
  readonly records: Int32Array;
  readonly lookup4: Lookup4;
  readonly lookup6: Lookup6;
  readonly podEndpointStart: Uint32Array;
  readonly podEndpoints: Uint32Array;
  readonly outsideNoAddress: number;
  readonly nodeNoAddress: number;
  /** The endpoint of an address text. */
  ofAddress(address: AddressText): number;
  /** The endpoint of a pod, by its index, in a family where it has one. */
  ofPod(pod: number, family: 4 | 6 | undefined): number;
}

/** What an endpoint stands for, as far as there is such a thing; see `Endpoint`. */
interface Fields {
  readonly self?: number;
  readonly object?: number;
  readonly node?: number;
  readonly unit?: number;
  readonly family?: 4 | 6;
}

interface Point {
  readonly key: number;
  readonly value: number;
}

/** Numbers the endpoints of a snapshot. Columns are made on the way: finish those afterwards. */
export function indexEndpoints(
  snapshot: Snapshot,
  dialect: Dialect,
  units: UnitIndex,
  unitOfPod: Int32Array,
  egress: Columns,
  ingress: Columns,
): { finish(numbering: Numbering): EndpointIndex; ofAddress(address: AddressText): number } {
  const elements = numberElements(units.count, snapshot.nodes.length);
  const nodeNumbers = numberNodes(snapshot);
  const records: number[] = [];
  const unitOf: number[] = [];
  // By text: V8 hashes a bigint by its low 64 bits, which the hosts of many nodes share.
  const points = new Map<AddressText, number>();
  const points4: Point[] = [];
  const points6: [key: AddressKey, value: number][] = [];
  const podEndpoints: number[][] = snapshot.pods.map(() => []);
  const words = new Uint32Array(4);
  let lastAddress: AddressText | undefined;
  let lastKey: AddressKey = 0;

  const podBlocks = classifyBlocks([
    snapshot.nodes.flatMap((node) => node.podCidrs.map((cidr) => ({ cidr, except: [] }))),
  ]);
  const background = [4, 6].map((family) => layBackground(family as 4 | 6)) as [ValueIntervals, ValueIntervals];
  const outsideNoAddress = add(EndpointKind.Outside, elements.outside, egress.noAddress, ingress.noAddress);
  // DI-02: a node that blocks never match lies in none.
  const ofNodes = dialect.ipBlockMatchesNodes ? [egress.noAddress, ingress.noAddress] : [0, 0];
  const nodeNoAddress = add(EndpointKind.Node, elements.namelessNode, ofNodes[0]!, ofNodes[1]!);
  addPods();
  addNodes();
  addServices();

  return { finish, ofAddress };

  function add(
    kind: EndpointKind,
    element: number,
    egressClass: number,
    ingressClass: number,
    fields: Fields = {},
  ): number {
    const id = unitOf.length;
    const row = kind === EndpointKind.UnknownPod ? Row.UnknownPod : Row.NotSubject;
    records.push(row, egress.column(element, egressClass), row, ingress.column(element, ingressClass));
    records.push(
      fields.self ?? -1,
      kind | (fields.family === 6 ? EndpointKind.Ipv6 : 0),
      fields.object ?? -1,
      fields.node ?? -1,
    );
    unitOf.push(fields.unit ?? -1);
    return id;
  }

  /** EP-06, EP-08: addresses that are nobody's lie outside, or in a node's pod block: pods that the snapshot does not hold. */
  function layBackground(family: 4 | 6): ValueIntervals {
    const pick = (classes: { v4: Intervals; v6: Intervals }): Intervals => (family === 4 ? classes.v4 : classes.v6);
    const layers = [pick(egress.blocks), pick(ingress.blocks), pick(podBlocks)];
    const starts = [...new Set(layers.flatMap((layer) => layer.starts))].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    const ids = new Map<number, number>();
    const places = [0, 0, 0];
    const values = starts.map((start) => {
      // Starts ascend, and every layer with them.
      const [egressClass, ingressClass, podClass] = layers.map((layer, at) => {
        while (places[at]! + 1 < layer.starts.length && layer.starts[places[at]! + 1]! <= start) places[at]!++;
        return layer.classes[places[at]!]!;
      }) as [number, number, number];
      const isPodBlock = podClass !== 0;
      const key = (egressClass * ingress.blocks.count + ingressClass) * 2 + Number(isPodBlock);
      let id = ids.get(key);
      if (id === undefined) {
        const kind = isPodBlock ? EndpointKind.UnknownPod : EndpointKind.Outside;
        const element = isPodBlock ? elements.unknownPod : elements.outside;
        // DI-01: a pod that blocks never match lies in none.
        const isBlind = isPodBlock && !dialect.ipBlockMatchesPods;
        ids.set(key, (id = add(kind, element, isBlind ? 0 : egressClass, isBlind ? 0 : ingressClass, { family })));
      }
      return id;
    });
    return { starts, values };
  }

  /** EP-01, EP-03: live pods by address; of two with one address, Running before others, then the earlier. */
  function addPods(): void {
    const order = snapshot.pods.map((_, index) => index);
    order.sort(
      (a, b) => Number(snapshot.pods[b]!.phase === 'Running') - Number(snapshot.pods[a]!.phase === 'Running') || a - b,
    );
    for (const index of order) {
      const pod = snapshot.pods[index]!;
      if (isGoverned(pod)) addPod(pod, index);
    }
  }

  function addPod(pod: Pod, index: number): void {
    const unit = unitOfPod[index]!;
    const object = index;
    const self = pod.count === 1 ? index : -1;
    const node = pod.node === undefined ? -1 : nodeNumbers.get(pod.node)!;
    for (const address of pod.addresses) {
      const [egressClass, ingressClass] = classesOf(address, dialect.ipBlockMatchesPods); // DI-01
      const id = add(EndpointKind.Pod, unit, egressClass, ingressClass, {
        self,
        object,
        node,
        unit,
        family: familyOf(address),
      });
      podEndpoints[index]!.push(id);
      addPoint(address, id);
    }
    if (pod.addresses.length > 0) return;
    // EP-11: nobody knows which ipBlocks hold a pod without an address, unless blocks never match pods.
    const none = dialect.ipBlockMatchesPods ? [egress.noAddress, ingress.noAddress] : [0, 0];
    podEndpoints[index]!.push(add(EndpointKind.Pod, unit, none[0]!, none[1]!, { self, object, node, unit }));
  }

  /** EP-04, EP-05: nodes, and hostNetwork pods, which act as their node. */
  function addNodes(): void {
    snapshot.nodes.forEach((node, index) => {
      for (const address of node.addresses) addNode(address, elements.firstNode + index, node.name, index);
    });
    snapshot.pods.forEach((pod, index) => {
      if (!pod.hostNetwork || pod.phase === 'Succeeded' || pod.phase === 'Failed') return;
      for (const address of pod.addresses)
        podEndpoints[index]!.push(addNode(address, elements.otherNode, undefined, -1));
      if (pod.addresses.length === 0) podEndpoints[index]!.push(nodeNoAddress);
    });
  }

  function addNode(address: AddressText, element: number, name: string | undefined, object: number): number {
    const existing = pointOf(address);
    if (existing !== undefined) return existing;
    const [egressClass, ingressClass] = classesOf(address, dialect.ipBlockMatchesNodes); // DI-02
    const node = name === undefined ? -1 : nodeNumbers.get(name)!;
    const id = add(EndpointKind.Node, element, egressClass, ingressClass, { object, node, family: familyOf(address) });
    addPoint(address, id);
    return id;
  }

  function addServices(): void {
    snapshot.services.forEach((service, index) => {
      for (const address of [...service.clusterAddresses, ...service.externalAddresses]) {
        if (pointOf(address) !== undefined) continue;
        const [egressClass, ingressClass] = classesOf(address, true);
        addPoint(
          address,
          add(EndpointKind.Service, elements.outside, egressClass, ingressClass, {
            object: index,
            family: familyOf(address),
          }),
        );
      }
    });
  }

  function classesOf(address: AddressText, isMatched: boolean): [egressClass: number, ingressClass: number] {
    if (!isMatched) return [0, 0];
    const key = keyOf(address);
    const pick = (columns: Columns): Intervals => (typeof key === 'number' ? columns.blocks.v4 : columns.blocks.v6);
    return [classOfAddress(pick(egress), key), classOfAddress(pick(ingress), key)];
  }

  /** One address is asked for several times in a row. */
  function keyOf(address: AddressText): AddressKey {
    if (address !== lastAddress) {
      lastAddress = address;
      lastKey = addressKey(parseAddress(address, words) as 4 | 6, words);
    }
    return lastKey;
  }

  function pointOf(address: AddressText): number | undefined {
    return points.get(address);
  }

  function addPoint(address: AddressText, id: number): void {
    if (points.has(address)) return;
    points.set(address, id);
    const key = keyOf(address);
    if (typeof key === 'number') points4.push({ key, value: id });
    else points6.push([key, id]);
  }

  function ofAddress(address: AddressText): number {
    const known = pointOf(address);
    if (known !== undefined) return known;
    const key = keyOf(address);
    const { starts, values } = background[typeof key === 'number' ? 0 : 1];
    return classOfAddress({ starts, classes: values }, key);
  }

  function finish({ egressRows, ingressRows, egressColumns, ingressColumns }: Numbering): EndpointIndex {
    const data = Int32Array.from(records);
    unitOf.forEach((unit, id) => {
      const at = id * Endpoint.Stride;
      data[at + Endpoint.EgressColumn] = egressColumns[data[at + Endpoint.EgressColumn]!]!;
      data[at + Endpoint.IngressColumn] = ingressColumns[data[at + Endpoint.IngressColumn]!]!;
      if (unit < 0) return;
      data[at + Endpoint.EgressRow] = egressRows[unit]!;
      data[at + Endpoint.IngressRow] = ingressRows[unit]!;
    });
    const podEndpointStart = new Uint32Array(snapshot.pods.length + 1);
    podEndpoints.forEach((list, index) => (podEndpointStart[index + 1] = podEndpointStart[index]! + list.length));
    return {
      records: data,
      lookup4: buildLookup4(
        overlayPoints(
          background[0],
          points4.sort((a, b) => a.key - b.key),
          2 ** 32,
        ),
      ),
      lookup6: buildLookup6(background[1], points6),
      podEndpointStart,
      podEndpoints: Uint32Array.from(podEndpoints.flat()),
      outsideNoAddress,
      nodeNoAddress,
      ofAddress,
      ofPod,
    };
  }

  /** EP-12: the pod's endpoint of a family, else its first; outside where the pod has none. */
  function ofPod(pod: number, family: 4 | 6 | undefined): number {
    const list = podEndpoints[pod]!;
    const wanted = snapshot.pods[pod]!.addresses.findIndex((address) => familyOf(address) === family);
    return list[wanted] ?? list[0] ?? outsideNoAddress;
  }
}

/** Every node that the snapshot names, by a Node object or by a pod's `nodeName`. */
export function numberNodes(snapshot: Snapshot): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  const add = (name: string): void => {
    if (!numbers.has(name)) numbers.set(name, numbers.size);
  };
  for (const { name } of snapshot.nodes) add(name);
  for (const { node } of snapshot.pods) if (node !== undefined) add(node);
  return numbers;
}
