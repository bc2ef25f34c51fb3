/**
 * The rooms that mutation runs know: what is mutated, and which tests are asked, in the order of how quickly they find a mistake.
 * Each entry is bundled to one file; a mutant that one file kills is not given to the next.
 */

/** Sizes and times of tables that few mutants change: for `npm test`. */
const LARGE_TABLES = [
  '1,000,000 IPv4 prefixes, each with a value of its own, take fragments and fit 16 MiB',
  '20,000 IPv6 hosts of one cluster leave the intervals alone, and 20,000 blocks fill the root index',
];

/**
 * Room -> its sources (globs) and its test entries, which are lists of test files below `test/`. `share`: of the usual runs of a law;
 * `without`: tests that ask what longer runs have met, and those that are slow and find nothing of their own.
 */
export const ROOMS = {
  track: {
    mutate: ['src/track/**/*.ts'],
    share: 1,
    without: [
      'and the sequences reached every state and every cause',
      'follows the living, not all that ever lived',
      'shrinks again when a crowd has gone',
      'keeps every live connection, and its word, through growth',
    ],
    entries: [
      ['track/rule.test.ts', 'track/kernel-record.test.ts', 'track/scenario.test.ts'],
      ['track/exhaustive.test.ts', 'track/law.test.ts'],
      ['track/table.test.ts', 'track/step.test.ts'],
    ],
  },
  replay: {
    mutate: ['src/replay/**/*.ts'],
    share: 1,
    entries: [
      ['tally', 'aggregate', 'counterfactual', 'cloud', 'calico', 'uniform', 'hit', 'heap', 'group'].map(
        (name) => `replay/${name}.test.ts`,
      ),
      ['replay/stage.test.ts', 'replay/share.test.ts', 'replay/era.test.ts'],
      ['replay/kernel.test.ts', 'replay/bulk.test.ts'],
    ],
  },
  model: {
    mutate: ['src/model/**/*.ts'],
    share: 1,
    entries: [['model/*.test.ts']],
  },
  decide: {
    mutate: ['src/decide/**/*.ts'],
    share: 0.25,
    without: ['some of those flows went through a Service', ...LARGE_TABLES],
    entries: [
      ['decide/*.test.ts', 'semantics/tier.test.ts'],
      ['semantics/scenario.test.ts', 'compile/address.test.ts'],
      ['law/engine-oracle.test.ts', 'law/packet.test.ts'],
    ],
  },
  compile: {
    mutate: ['src/compile/**/*.ts', '!src/compile/update*.ts'],
    share: 0.06,
    without: [
      ...LARGE_TABLES,
      // What updates build and keep is asked of the room incremental.
      'what is kept of rows that are gone stays below a bound',
      'a replica that comes, moves or goes builds no row; a policy that changes builds the rows of its own pods',
      '2,000 pods with a policy each: pages grow with what policies say, and no dense table is made',
      'cells are 16 bits wide as long as they can be, and wider where vectors are more: no number is used twice',
      '10,000 pods with a policy each, from one other pod each, take less than 16 MiB',
    ],
    entries: [
      [
        ...['port', 'service', 'endpoint', 'fault', 'collection', 'size', 'select', 'next'].map(
          (name) => `compile/${name}.test.ts`,
        ),
        'semantics/tier.test.ts',
      ],
      [...['wide', 'service', 'fact', 'target'].map((name) => `decide/${name}.test.ts`), 'compile/address.test.ts'],
      ['semantics/scenario.test.ts', 'compile/program.test.ts'],
      ['law/engine-oracle.test.ts', 'compile/update.test.ts'],
    ],
  },
  incremental: {
    mutate: ['src/compile/update*.ts'],
    share: 0.3,
    entries: [['compile/update*.test.ts']],
  },
};
