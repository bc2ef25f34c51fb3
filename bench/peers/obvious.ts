/**
 * The whole that one writes first, for `dropcast replay` on policies in YAML and a VPC flow log: the `yaml` package, `split`, a Map of strings
 * for connections, and every policy, rule and peer walked for each new one, straight on the objects of the manifests.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OpenJob } from '../limit/job.ts';
import { eachLine } from './trace.ts';

interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly { key: string; operator: string; values?: readonly string[] }[];
}

interface PolicyPeer {
  readonly podSelector?: Selector;
  readonly namespaceSelector?: Selector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}

interface PolicyRule {
  readonly from?: readonly PolicyPeer[];
  readonly to?: readonly PolicyPeer[];
  readonly ports?: readonly {
    readonly protocol?: string;
    readonly port?: number | string;
    readonly endPort?: number;
  }[];
}

interface Manifest {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly podSelector?: Selector;
    readonly policyTypes?: readonly string[];
    readonly ingress?: readonly PolicyRule[];
    readonly egress?: readonly PolicyRule[];
    readonly containers?: readonly {
      readonly ports?: readonly { name?: string; containerPort: number; protocol?: string }[];
    }[];
  };
  readonly status?: { readonly podIPs?: readonly { readonly ip: string }[] };
}

/** `values.records` of the log's records are taken, and the time that their judgement took is scaled to all of it; reading YAML and log is not. */
export const openObvious: OpenJob = async (folder, { values }) => {
  const { parseAllDocuments } = await import('yaml');
  const total = values['records']!;
  const judged = values['judged']!;
  const verdicts = { allow: 0, deny: 0 };
  let scaled = 0;
  return {
    get count() {
      return total;
    },
    get extraSeconds() {
      return scaled;
    },
    run: () => {
      const read = (name: string): Manifest[] =>
        parseAllDocuments(readFileSync(join(folder, name), 'utf8')).map((document) => document.toJS() as Manifest);
      const cluster = read('cluster.yaml');
      const policies = read('policies.yaml').filter(({ kind }) => kind === 'NetworkPolicy');
      const namespaces = new Map(
        cluster
          .filter(({ kind }) => kind === 'Namespace')
          .map(({ metadata }) => [metadata.name, metadata.labels ?? {}]),
      );
      const pods = new Map<string, Manifest>();
      for (const item of cluster)
        if (item.kind === 'Pod') for (const { ip } of item.status?.podIPs ?? []) pods.set(ip, item);
      const connections = new Map<string, boolean>();
      let record = -1;
      let seconds = 0;
      eachLine(join(folder, 'vpc.log'), (line) => {
        const fields = line.split(' ');
        if (++record === 0) return;
        if (record > judged) return;
        const began = process.hrtime.bigint();
        const [, , , src, dst, srcPort, dstPort, number] = fields;
        const protocol = number === '17' ? 'UDP' : 'TCP';
        if (connections.get(`${protocol} ${dst}:${dstPort} ${src}:${srcPort}`) === undefined) {
          const key = `${protocol} ${src}:${srcPort} ${dst}:${dstPort}`;
          let isAllowed = connections.get(key);
          if (isAllowed === undefined) {
            const to = Number(dstPort);
            isAllowed =
              admits('Egress', pods.get(src!), pods.get(dst!), dst!, protocol, to) &&
              admits('Ingress', pods.get(dst!), pods.get(src!), src!, protocol, to);
            connections.set(key, isAllowed);
          }
          verdicts[isAllowed ? 'allow' : 'deny']++;
        }
        seconds += Number(process.hrtime.bigint() - began) / 1e9;

        function admits(
          type: 'Egress' | 'Ingress',
          subject: Manifest | undefined,
          peer: Manifest | undefined,
          address: string,
          own: string,
          port: number,
        ): boolean {
          if (subject === undefined) return true;
          let isIsolated = false;
          for (const { metadata, spec } of policies) {
            if (metadata.namespace !== subject.metadata.namespace) continue;
            if (
              !(spec.policyTypes ?? ['Ingress']).includes(type) ||
              !matches(spec.podSelector, subject.metadata.labels)
            )
              continue;
            isIsolated = true;
            for (const { from, to, ports } of (type === 'Ingress' ? spec.ingress : spec.egress) ?? []) {
              const peers = type === 'Ingress' ? from : to;
              const target = type === 'Ingress' ? subject : peer;
              if (ports !== undefined && !ports.some((each) => isPort(each, target, own, port))) continue;
              if (peers === undefined || peers.some((each) => isPeer(each, metadata.namespace!, peer, address)))
                return true;
            }
          }
          return !isIsolated;
        }
      });
      // The judgement of the records beyond the first ones.
      scaled = seconds * (total / judged - 1);

      function isPeer(
        { ipBlock, podSelector, namespaceSelector }: PolicyPeer,
        namespace: string,
        pod: Manifest | undefined,
        address: string,
      ): boolean {
        if (ipBlock !== undefined)
          return isIn(ipBlock.cidr, address) && !(ipBlock.except ?? []).some((hole) => isIn(hole, address));
        if (pod === undefined) return false;
        const isThere =
          namespaceSelector === undefined
            ? pod.metadata.namespace === namespace
            : matches(namespaceSelector, namespaces.get(pod.metadata.namespace ?? ''));
        return isThere && matches(podSelector, pod.metadata.labels);
      }
    },
    first: () => total,
  };
};

function matches(
  { matchLabels = {}, matchExpressions = [] }: Selector = {},
  labels: Readonly<Record<string, string>> = {},
): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === 'Exists') return value !== undefined;
      if (operator === 'DoesNotExist') return value === undefined;
      return (value !== undefined && values.includes(value)) === (operator === 'In');
    })
  );
}

function isPort(
  { protocol = 'TCP', port, endPort }: NonNullable<PolicyRule['ports']>[number],
  target: Manifest | undefined,
  own: string,
  asked: number,
): boolean {
  if (protocol !== own) return false;
  if (port === undefined) return true;
  if (typeof port === 'number') return port <= asked && asked <= (endPort ?? port);
  return (target?.spec.containers ?? []).some(({ ports = [] }) =>
    ports.some(({ name, containerPort }) => name === port && containerPort === asked),
  );
}

function isIn(cidr: string, address: string): boolean {
  if (cidr.includes(':') || address.includes(':')) return false;
  const [base, length] = cidr.split('/');
  const bits = Number(length);
  return bits === 0 || (toWord(base!) ^ toWord(address)) >>> (32 - bits) === 0;
}

function toWord(address: string): number {
  return address.split('.').reduce((word, part) => (word << 8) | Number(part), 0);
}
