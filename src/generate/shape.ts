/**
 * Whole worlds by name: a cluster and its policies, in a shape that was met or published. Any size from two numbers; without them, the size
 * at which the shape was published. The same options give an equal world in every release.
 */
import type { Snapshot } from '../model/cluster.ts';
import type { Policy } from '../model/policy.ts';
import { type ClusterShape, generateCluster } from './cluster.ts';
import { generatePolicies } from './policy.ts';
import { generatePublished, PUBLISHED } from './published.ts';
import { generateScaleTest, type ScaleTest } from './scale-test.ts';
import { generateStore, STORE } from './store.ts';

/** A shape's name; `SHAPES` says what each is. */
export type Shape = ClusterShape | 'published' | 'store' | ScaleTest;

/** What a shape is, and its size unless another is asked for. */
export interface ShapeRow {
  readonly name: Shape;
  readonly pods: number;
  readonly policies: number;
  readonly description: string;
}

/** All shapes. */
export const SHAPES: readonly ShapeRow[] = [
  { name: 'production', pods: 100, policies: 20, description: 'about 9 pods a namespace, every construct of the API' },
  { name: 'wide', pods: 100, policies: 20, description: 'about 4 pods a namespace: many tenants' },
  { name: 'deep', pods: 100, policies: 20, description: 'about 1,000 pods a namespace' },
  { name: 'published', ...PUBLISHED, description: 'the counts of one production cluster, histogram by histogram' },
  { name: 'store', ...STORE, description: 'few policies of 68 rules over 3,708 sets of addresses' },
  {
    name: 'tenants',
    pods: 100_000,
    policies: 75_000,
    description: '4 pods a namespace: a default deny and two policies',
  },
  { name: 'crowds', pods: 100_000, policies: 10_100, description: '1,000 pods and 101 policies a namespace' },
  { name: 'heap', pods: 10_000, policies: 10_000, description: 'one namespace, every policy selects every pod' },
];

/** Which world. */
export interface WorldOptions {
  readonly shape: Shape;
  readonly seed: number;
  /** Default: those of the shape. */
  readonly pods?: number;
  readonly policies?: number;
}

/** The world. Throws a RangeError where a size is too small or beyond the address plan. */
export function generateWorld({ shape, seed, ...size }: WorldOptions): {
  readonly snapshot: Snapshot;
  readonly policies: readonly Policy[];
} {
  const row = SHAPES.find(({ name }) => name === shape)!;
  const options = { pods: size.pods ?? row.pods, policies: size.policies ?? row.policies, seed };
  switch (shape) {
    case 'published':
      return generatePublished(options);
    case 'store':
      return generateStore(options);
    case 'tenants':
    case 'crowds':
    case 'heap':
      return generateScaleTest(shape, options);
    default: {
      const snapshot = generateCluster({ pods: options.pods, seed, shape });
      return { snapshot, policies: generatePolicies({ snapshot, count: options.policies, seed }) };
    }
  }
}
