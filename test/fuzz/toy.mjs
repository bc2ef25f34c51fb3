/**
 * A toy evaluator that speaks the protocol of docs/fuzz.md, written from that page and the API's text alone: the adapter to copy. It
 * can be wrong or rude on request: `node toy.mjs [right|ignores-except|one-by-one|dies|garbles|floods|echoes|sleeps|refuses]`.
 */
import { BlockList, isIPv6 } from 'node:net';
import { createInterface } from 'node:readline';

const manner = process.argv[2] ?? 'right';
let world;

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (manner === 'dies' && request.type !== 'world') {
    console.error('the toy fell apart');
    process.exit(7);
  }
  if (manner === 'sleeps' && request.type !== 'world') continue;
  if (manner === 'garbles' && request.type !== 'world') console.log('allow, I think');
  else if (manner === 'floods') flood();
  else if (manner === 'echoes') console.log(line);
  else console.log(JSON.stringify({ id: request.id, ...answer(request) }));
}

/** One answer without an end. */
function flood() {
  process.stdout.write('x'.repeat(1 << 16), flood);
}

function answer(request) {
  switch (request.type) {
    case 'world':
      if (manner === 'refuses') return { error: 'too much world for a toy' };
      world = readWorld(request.objects);
      return {};
    case 'batch':
      if (manner === 'one-by-one') return { error: 'one at a time, please' };
      return { verdicts: request.flows.map(judge) };
    case 'flow':
      return { verdict: judge(request) };
    default:
      return { error: `unknown type ${request.type}` };
  }
}

function readWorld(objects) {
  const of = (kind) => objects.filter((object) => object.kind === kind);
  return {
    namespaces: new Map(of('Namespace').map(({ metadata }) => [metadata.name, labelsOfNamespace(metadata)])),
    pods: of('Pod').filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed'),
    nodes: of('Node'),
    policies: of('NetworkPolicy'),
  };
}

function labelsOfNamespace({ name, labels }) {
  return { ...labels, 'kubernetes.io/metadata.name': name };
}

function judge({ src, dst, protocol, port }) {
  const source = endAt(src);
  const destination = endAt(dst);
  if (source.isUnknown || destination.isUnknown) return 'undecidable';
  if (src === dst) return 'allow';
  const flow = { protocol, port, destination };
  // A node may always reach the pods that run on it.
  const isOwnNode =
    destination.pod !== undefined && source.node !== undefined && isNodeOf(source.node, destination.pod);
  const isAllowed =
    agrees('Egress', source, destination, flow) && (isOwnNode || agrees('Ingress', destination, source, flow));
  return isAllowed ? 'allow' : 'deny';
}

function endAt(address) {
  const pod = world.pods.find(
    ({ spec, status }) => !spec?.hostNetwork && status?.podIPs?.some(({ ip }) => ip === address),
  );
  const node = world.nodes.find(({ status }) => status?.addresses?.some((own) => own.address === address));
  const isUnknown =
    pod === undefined &&
    node === undefined &&
    world.nodes.some(({ spec }) => spec?.podCIDRs?.some((cidr) => isInside(cidr, address)));
  return { address, pod, node, isUnknown };
}

function isNodeOf(node, pod) {
  return pod.spec?.nodeName === node.metadata.name;
}

function agrees(direction, subject, peer, flow) {
  if (subject.pod === undefined) return true;
  const { namespace, labels } = subject.pod.metadata;
  const policies = world.policies.filter(
    ({ metadata, spec }) =>
      metadata.namespace === namespace && spec.policyTypes.includes(direction) && selects(spec.podSelector, labels),
  );
  const [list, side] = direction === 'Ingress' ? ['ingress', 'from'] : ['egress', 'to'];
  return (
    policies.length === 0 ||
    policies.some(({ metadata, spec }) =>
      (spec[list] ?? []).some(
        (rule) =>
          isEmptyOr(rule[side], (one) => matchesPeer(one, peer, metadata.namespace)) &&
          isEmptyOr(rule.ports, (one) => matchesPort(one, flow)),
      ),
    )
  );
}

function isEmptyOr(list, matches) {
  return list === undefined || list.length === 0 || list.some(matches);
}

function matchesPeer({ ipBlock, podSelector, namespaceSelector }, { address, pod }, namespace) {
  if (ipBlock !== undefined) {
    const except = manner === 'ignores-except' ? [] : (ipBlock.except ?? []);
    return isInside(ipBlock.cidr, address) && !except.some((cidr) => isInside(cidr, address));
  }
  if (pod === undefined) return false;
  const isInScope =
    namespaceSelector === undefined
      ? pod.metadata.namespace === namespace
      : selects(namespaceSelector, world.namespaces.get(pod.metadata.namespace));
  return isInScope && (podSelector === undefined || selects(podSelector, pod.metadata.labels));
}

function selects({ matchLabels = {}, matchExpressions = [] }, labels = {}) {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values }) => {
      const has = Object.hasOwn(labels, key);
      if (operator === 'Exists') return has;
      if (operator === 'DoesNotExist') return !has;
      const isIn = has && values.includes(labels[key]);
      return operator === 'In' ? isIn : !isIn;
    })
  );
}

function matchesPort({ protocol = 'TCP', port, endPort }, flow) {
  if (protocol !== flow.protocol) return false;
  if (port === undefined) return true;
  if (typeof port === 'number') return flow.port >= port && flow.port <= (endPort ?? port);
  const ports = (flow.destination.pod?.spec?.containers ?? []).flatMap((container) => container.ports ?? []);
  return ports.some((own) => own.name === port && own.protocol === protocol && own.containerPort === flow.port);
}

function isInside(cidr, address) {
  const [first, length] = cidr.split('/');
  if (isIPv6(first) !== isIPv6(address)) return false;
  const list = new BlockList();
  const family = isIPv6(first) ? 'ipv6' : 'ipv4';
  list.addSubnet(first, Number(length), family);
  return list.check(address, family);
}
