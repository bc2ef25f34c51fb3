/**
 * Policies in one neutral form that every policy kind is read into: NetworkPolicy today; tier, priority and
 * Accept/Deny/Pass are there for AdminNetworkPolicy and ClusterNetworkPolicy. Defaults are already applied.
 */
import type { Cidr } from './cidr.ts';
import type { Selector } from './label.ts';
import type { PortMatch } from './port.ts';

/** As seen from the subject: ingress is traffic to it, egress is traffic from it. */
export type Direction = 'ingress' | 'egress';

/** Where an object, rule or field was written; line and column count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Evaluation order of the tiers: admin, then NetworkPolicy, then baseline, then allow. */
export type Tier = 'admin' | 'networkpolicy' | 'baseline';

/** What a matching rule does. NetworkPolicy rules are all Accept. Pass leaves the tier. */
export type Action = 'Accept' | 'Deny' | 'Pass';

/** The namespaces that a selector looks into: one by name, or those whose labels match. */
export type NamespaceScope =
  { readonly kind: 'named'; readonly namespace: string } | { readonly kind: 'selected'; readonly selector: Selector };

/** Pods of some namespaces: both must match. */
export interface PodSet {
  readonly namespaces: NamespaceScope;
  readonly pods: Selector;
}

/** The other side of a rule. */
export type Peer =
  | ({ readonly kind: 'pods' } & PodSet)
  | { readonly kind: 'ipBlock'; readonly cidr: Cidr; readonly except: readonly Cidr[] }
  | { readonly kind: 'nodes'; readonly selector: Selector }
  | { readonly kind: 'domains'; readonly names: readonly string[] };

/** One rule of one direction, in the order of its object. */
export interface Rule {
  /** Index within its direction's list, as in `spec.ingress[2]`. */
  readonly index: number;
  readonly name?: string;
  readonly action: Action;
  /** Undefined: every peer, pods or not (`from`/`to` empty or missing). */
  readonly peers: readonly Peer[] | undefined;
  /** Undefined: every protocol and port (`ports` empty or missing). */
  readonly ports: readonly PortMatch[] | undefined;
  readonly position: Position;
  /** Where each peer and each port match was written; shorter or empty where the source has none. */
  readonly peerPositions?: readonly Position[];
  readonly portPositions?: readonly Position[];
}

/** A policy object of any kind. */
export interface Policy {
  readonly kind: 'NetworkPolicy' | 'AdminNetworkPolicy' | 'BaselineAdminNetworkPolicy' | 'ClusterNetworkPolicy';
  /** Absent for cluster-scoped kinds. */
  readonly namespace?: string;
  readonly name: string;
  readonly tier: Tier;
  /** Lower goes first within a tier; 0 for NetworkPolicy, where order has no meaning. */
  readonly priority: number;
  /** The pods that the policy applies to. */
  readonly subject: PodSet;
  /** Directions in which the subject becomes isolated (`policyTypes`); empty for the tiered kinds. */
  readonly isolates: readonly Direction[];
  readonly ingress: readonly Rule[];
  readonly egress: readonly Rule[];
  readonly position: Position;
}
