/**
 * What the API leaves open, each with one documented default. A dialect is a CNI's documented difference; the default
 * dialect follows the letter of the API where it has one, and the behaviour most implementations share where it has none.
 */

/** The open points of the API. */
export interface Dialect {
  readonly name: string;
  /** An ipBlock matches the addresses of pods too: the API does not forbid it, and Kubernetes' own tests rely on it. */
  readonly ipBlockMatchesPods: boolean;
  /** An ipBlock matches the addresses of nodes. */
  readonly ipBlockMatchesNodes: boolean;
  /** Traffic from a node to a pod on it: `allow` (the API's text), or judged like any address. */
  readonly ownNodeIngress: 'allow' | 'judge';
  /** Traffic from a pod to its own node: judged (types.go has no exemption), or `allow` (the concept page's introduction). */
  readonly ownNodeEgress: 'allow' | 'judge';
  /** A pod that reaches itself through a Service: judged by both sides, or allowed. */
  readonly hairpin: 'judge' | 'allow';
  /** Pods with hostNetwork: they act as their node and no selector finds them. The one reading built in. */
  readonly hostNetwork: 'as-node';
  /** Traffic to a node's address and a pod's hostPort: judged as traffic to that pod, or left as traffic to the node. */
  readonly hostPort: 'translate' | 'ignore';
  /** Protocols without ports (ICMP, ...): matched by rules without `ports` alone, always allowed, or never. */
  readonly icmp: 'by-ports-absent' | 'always' | 'never';
  /** ICMPv6 neighbour discovery (types 133 to 137) is exempt from policy, as every IPv6 network needs it. */
  readonly neighborDiscovery: 'exempt' | 'judge';
  /** Does a NetworkPolicy that selects a pod end the evaluation for the direction it isolates, or for both? */
  readonly networkPolicyScope: 'per-direction' | 'per-pod';
}

/** The documented defaults. */
export const DEFAULT_DIALECT: Dialect = {
  name: 'kubernetes',
  ipBlockMatchesPods: true,
  ipBlockMatchesNodes: true,
  ownNodeIngress: 'allow',
  ownNodeEgress: 'judge',
  hairpin: 'judge',
  hostNetwork: 'as-node',
  hostPort: 'translate',
  icmp: 'by-ports-absent',
  neighborDiscovery: 'exempt',
  networkPolicyScope: 'per-direction',
};

/** The values that each knob may take, the default first: for command lines and scenario files, which spell them `hairpin=allow`. */
export const DIALECT_CHOICES: { readonly [Knob in Exclude<keyof Dialect, 'name'>]: readonly Dialect[Knob][] } = {
  ipBlockMatchesPods: [true, false],
  ipBlockMatchesNodes: [true, false],
  ownNodeIngress: ['allow', 'judge'],
  ownNodeEgress: ['judge', 'allow'],
  hairpin: ['judge', 'allow'],
  hostNetwork: ['as-node'],
  hostPort: ['translate', 'ignore'],
  icmp: ['by-ports-absent', 'always', 'never'],
  neighborDiscovery: ['exempt', 'judge'],
  networkPolicyScope: ['per-direction', 'per-pod'],
};
