/**
 * Endpoints: one number for every pod, node and Service address, and one for each kind of everything else. The number leads
 * to the row and column of each table; addresses lead to it through the trie.
 */
import { type AddressText, parseAddress } from '../model/address.ts';
import { hasEnded, isGoverned, type Pod, type Snapshot } from '../model/cluster.ts';
import type { Dialect } from '../model/dialect.ts';
import {
  addressKey,
  type AddressKey,
  classifyBlocks,
  classOfAddress,
  compareKeys,
  type Intervals,
  orderNumbers,
} from './block.ts';
import { type Columns, numberElements } from './column.ts';
import { Endpoint, EndpointKind, Row } from './layout.ts';
import { type Groups, groupByKey } from './group.ts';
import { grow, ListStore } from './list.ts';
import { buildLookup6, type Lookup6 } from './search6.ts';
import { buildLookup4, type Lookup4, overlayPoints, type ValueIntervals } from './trie.ts';
import type { UnitIndex } from './unit.ts';

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
  let records: Int32Array = new Int32Array(0);
  let unitOf: Int32Array = new Int32Array(0);
  let count = 0;
  // Single addresses by number, as one word or four, and their endpoints.
  const points = new ListStore();
  let endpointOfPoint: Int32Array = new Int32Array(0);
  // Endpoints of pods in the order of their making, and the pods.
  let podEndpoints: Int32Array = new Int32Array(0);
  let podsOfThose: Int32Array = new Int32Array(0);
  let podEndpointCount = 0;
  let ofPods: Groups;
  // The address at hand: its words, its family, and the classes that contain it.
  const words = new Uint32Array(4);
  const signed = new Int32Array(words.buffer);
  let familyAtHand: 4 | 6 = 4;
  let egressClass = 0;
  let ingressClass = 0;

  const podBlocks = classifyBlocks([
    snapshot.nodes.flatMap((node) => node.podCidrs.map((cidr) => ({ cidr, except: [] }))),
  ]);
  const background = [4, 6].map((family) => layBackground(family as 4 | 6)) as [ValueIntervals, ValueIntervals];
  const outsideNoAddress = addNowhere(EndpointKind.Outside, elements.outside, true);
  addPods();
  // Nodes and Services come last: who decides many flows at once tells them by their numbers.
  // DI-02: a node that blocks never match lies in none.
  const nodeNoAddress = addNowhere(EndpointKind.Node, elements.namelessNode, dialect.ipBlockMatchesNodes);
  addNodes();
  addServices();

  return { finish, ofAddress };

  /** An endpoint in the classes at hand; -1 where a number means nothing. */
  function add(kind: EndpointKind, element: number, self: number, object: number, node: number): number {
    const id = count++;
    const at = id * Endpoint.Stride;
    records = grow(records, at + Endpoint.Stride);
    unitOf = grow(unitOf, count);
    records[at + Endpoint.EgressColumn] = egress.column(element, egressClass);
    records[at + Endpoint.IngressColumn] = ingress.column(element, ingressClass);
    const row = kind === EndpointKind.UnknownPod ? Row.UnknownPod : Row.NotSubject;
    records[at + Endpoint.EgressRow] = row;
    records[at + Endpoint.IngressRow] = row;
    records[at + Endpoint.Self] = self;
    records[at + Endpoint.Kind] = kind;
    records[at + Endpoint.Object] = object;
    records[at + Endpoint.Node] = node;
    unitOf[id] = -1;
    return id;
  }

  /** The same of an address. */
  function addAt(kind: EndpointKind, element: number, self: number, object: number, node: number): number {
    const id = add(kind, element, self, object, node);
    if (familyAtHand === 6) records[id * Endpoint.Stride + Endpoint.Kind]! |= EndpointKind.Ipv6;
    return id;
  }

  /** Without an address: nobody knows which blocks hold it, unless blocks never match it. */
  function addNowhere(
    kind: EndpointKind,
    element: number,
    isMatched: boolean,
    self = -1,
    object = -1,
    node = -1,
  ): number {
    egressClass = isMatched ? egress.noAddress : 0;
    ingressClass = isMatched ? ingress.noAddress : 0;
    return add(kind, element, self, object, node);
  }

  /** EP-06, EP-08: addresses that are nobody's lie outside, or in a node's pod block: pods that the snapshot does not hold. */
  function layBackground(family: 4 | 6): ValueIntervals {
    const pick = (classes: { v4: Intervals; v6: Intervals }): Intervals => (family === 4 ? classes.v4 : classes.v6);
    const layers = [pick(egress.blocks), pick(ingress.blocks), pick(podBlocks)] as const;
    const starts = [...new Set(layers.flatMap((layer) => layer.starts))].sort(compareKeys);
    const [egressAt, ingressAt, podAt] = layers.map((layer) => followClasses(layer, starts)) as [
      Int32Array,
      Int32Array,
      Int32Array,
    ];
    const ids = new Map<number, number>();
    const values: number[] = [];
    for (let at = 0; at < starts.length; at++) {
      const isPodBlock = podAt[at] !== 0;
      const key = (egressAt[at]! * ingress.blocks.count + ingressAt[at]!) * 2 + Number(isPodBlock);
      let id = ids.get(key);
      if (id === undefined) {
        // DI-01: a pod that blocks never match lies in none.
        const isBlind = isPodBlock && !dialect.ipBlockMatchesPods;
        egressClass = isBlind ? 0 : egressAt[at]!;
        ingressClass = isBlind ? 0 : ingressAt[at]!;
        familyAtHand = family;
        id = isPodBlock
          ? addAt(EndpointKind.UnknownPod, elements.unknownPod, -1, -1, -1)
          : addAt(EndpointKind.Outside, elements.outside, -1, -1, -1);
        ids.set(key, id);
      }
      values.push(id);
    }
    return { starts, values };
  }

  /** EP-01, EP-03: live pods by address; of two with one address, Running before others, then the earlier. */
  function addPods(): void {
    for (const isRunning of [true, false])
      snapshot.pods.forEach((pod, index) => {
        if ((pod.phase === 'Running') === isRunning && isGoverned(pod)) addPod(pod, index);
      });
  }

  function addPod(pod: Pod, index: number): void {
    const unit = unitOfPod[index]!;
    const self = pod.count === 1 ? index : -1;
    const node = pod.node === undefined ? -1 : nodeNumbers.get(pod.node)!;
    const { addresses } = pod;
    for (let at = 0; at < addresses.length; at++) {
      locate(addresses[at]!, dialect.ipBlockMatchesPods); // DI-01
      const id = addAt(EndpointKind.Pod, unit, self, index, node);
      unitOf[id] = unit;
      addPodEndpoint(index, id);
      if (findPoint() < 0) addPoint(id);
    }
    if (addresses.length > 0) return;
    const id = addNowhere(EndpointKind.Pod, unit, dialect.ipBlockMatchesPods, self, index, node); // EP-11
    unitOf[id] = unit;
    addPodEndpoint(index, id);
  }

  function addPodEndpoint(pod: number, id: number): void {
    podEndpoints = grow(podEndpoints, podEndpointCount + 1);
    podsOfThose = grow(podsOfThose, podEndpointCount + 1);
    podEndpoints[podEndpointCount] = id;
    podsOfThose[podEndpointCount++] = pod;
  }

  /** EP-04, EP-05: nodes, and hostNetwork pods, which act as their node. */
  function addNodes(): void {
    snapshot.nodes.forEach((node, index) => {
      for (const address of node.addresses) addNode(address, elements.firstNode + index, node.name, index);
    });
    snapshot.pods.forEach((pod, index) => {
      if (!pod.hostNetwork || hasEnded(pod)) return;
      for (const address of pod.addresses) addPodEndpoint(index, addNode(address, elements.otherNode, undefined, -1));
      if (pod.addresses.length === 0) addPodEndpoint(index, nodeNoAddress);
    });
  }

  function addNode(address: AddressText, element: number, name: string | undefined, object: number): number {
    locate(address, dialect.ipBlockMatchesNodes); // DI-02
    const existing = findPoint();
    if (existing >= 0) return existing;
    const id = addAt(EndpointKind.Node, element, -1, object, name === undefined ? -1 : nodeNumbers.get(name)!);
    addPoint(id);
    return id;
  }

  function addServices(): void {
    snapshot.services.forEach(({ clusterAddresses, externalAddresses }, index) => {
      for (const list of [clusterAddresses, externalAddresses])
        for (const address of list) {
          locate(address, true);
          if (findPoint() < 0) addPoint(addAt(EndpointKind.Service, elements.outside, -1, index, -1));
        }
    });
  }

  /** Reads an address, and finds the classes that contain it where blocks match it. */
  function locate(address: AddressText, isMatched: boolean): void {
    familyAtHand = parseAddress(address, words) as 4 | 6;
    egressClass = isMatched ? classAt(egress.blocks) : 0;
    ingressClass = isMatched ? classAt(ingress.blocks) : 0;
  }

  /** The class of the address at hand. */
  function classAt({ v4, v6 }: { readonly v4: Intervals; readonly v6: Intervals }): number {
    if (familyAtHand === 4) return classOfAddress(v4, words[0]!);
    // Most clusters have no IPv6 blocks: there is nothing to search.
    return v6.starts.length === 1 ? v6.classes[0]! : classOfAddress(v6, addressKey(6, words));
  }

  /** The endpoint of the address at hand; -1 where no single one has it. */
  function findPoint(): number {
    const point = points.find(signed, familyAtHand === 4 ? 1 : 4);
    return point < 0 ? -1 : endpointOfPoint[point]!;
  }

  /** The address at hand has an endpoint of its own. */
  function addPoint(id: number): void {
    const point = points.intern(signed, familyAtHand === 4 ? 1 : 4);
    endpointOfPoint = grow(endpointOfPoint, point + 1);
    endpointOfPoint[point] = id;
  }

  function ofAddress(address: AddressText): number {
    familyAtHand = parseAddress(address, words) as 4 | 6;
    const known = findPoint();
    if (known >= 0) return known;
    const { starts, values } = background[familyAtHand === 4 ? 0 : 1];
    return classOfAddress({ starts, classes: values }, addressKey(familyAtHand, words));
  }

  function finish({ egressRows, ingressRows, egressColumns, ingressColumns }: Numbering): EndpointIndex {
    const data = records.slice(0, count * Endpoint.Stride);
    for (let id = 0; id < count; id++) {
      const at = id * Endpoint.Stride;
      const unit = unitOf[id]!;
      data[at + Endpoint.EgressColumn] = egressColumns[data[at + Endpoint.EgressColumn]!]!;
      data[at + Endpoint.IngressColumn] = ingressColumns[data[at + Endpoint.IngressColumn]!]!;
      if (unit < 0) continue;
      data[at + Endpoint.EgressRow] = egressRows[unit]!;
      data[at + Endpoint.IngressRow] = ingressRows[unit]!;
    }
    ofPods = groupByKey(podsOfThose.subarray(0, podEndpointCount), snapshot.pods.length);
    return {
      records: data,
      ...buildLookups(),
      podEndpointStart: Uint32Array.from(ofPods.starts),
      podEndpoints: Uint32Array.from(ofPods.items, (at) => podEndpoints[at]!),
      outsideNoAddress,
      nodeNoAddress,
      ofAddress,
      ofPod,
    };
  }

  /** Single addresses over the background. */
  function buildLookups(): Pick<EndpointIndex, 'lookup4' | 'lookup6'> {
    const keys4 = new Float64Array(points.count);
    const values4 = new Int32Array(points.count);
    const words6 = new Uint32Array(points.count * 4);
    const values6 = new Int32Array(points.count);
    let count4 = 0;
    let count6 = 0;
    for (let point = 0; point < points.count; point++) {
      if (points.lengthOf(point) === 1) {
        keys4[count4] = points.at(point, 0) >>> 0;
        values4[count4++] = endpointOfPoint[point]!;
        continue;
      }
      for (let word = 0; word < 4; word++) words6[count6 * 4 + word] = points.at(point, word);
      values6[count6++] = endpointOfPoint[point]!;
    }
    const order = orderNumbers(keys4.subarray(0, count4));
    const points4 = Array.from(order, (at) => ({ key: keys4[at]!, value: values4[at]! }));
    return {
      lookup4: buildLookup4(overlayPoints(background[0], points4, 2 ** 32)),
      lookup6: buildLookup6(background[1], words6, values6.subarray(0, count6)),
    };
  }

  /** EP-12: the pod's endpoint of a family, else its first; outside where the pod has none. */
  function ofPod(pod: number, family: 4 | 6 | undefined): number {
    const start = ofPods.starts[pod]!;
    const end = ofPods.starts[pod + 1]!;
    for (let at = start; at < end; at++) {
      const id = podEndpoints[ofPods.items[at]!]!;
      if (familyOfEndpoint(id) === family) return id;
    }
    return start < end ? podEndpoints[ofPods.items[start]!]! : outsideNoAddress;
  }

  function familyOfEndpoint(id: number): 4 | 6 {
    return (records[id * Endpoint.Stride + Endpoint.Kind]! & EndpointKind.Ipv6) === 0 ? 4 : 6;
  }
}

/** The class of each start, where starts ascend and hold every one of the layer. */
function followClasses({ starts: own, classes }: Intervals, starts: readonly AddressKey[]): Int32Array {
  const followed = new Int32Array(starts.length);
  for (let at = 0, place = -1; at < starts.length; at++) {
    if (place + 1 < own.length && own[place + 1] === starts[at]) place++;
    followed[at] = classes[place]!;
  }
  return followed;
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
