/**
 * The rooms that mutation runs know: what is mutated, and which tests are asked, in the order of how quickly they find a mistake.
 * Each entry is bundled to one file; a mutant that one file kills is not given to the next.
 */

/** Room -> its sources (globs) and its test entries. Entries are lists of test files, below `test/`. */
export const ROOMS = {
  track: {
    mutate: ['src/track/**/*.ts'],
    entries: [
      ['track/rule.test.ts', 'track/kernel-record.test.ts', 'track/scenario.test.ts', 'track/table.test.ts'],
      ['track/exhaustive.test.ts', 'track/law.test.ts'],
    ],
  },
  model: {
    mutate: ['src/model/**/*.ts'],
    entries: [
      ['model/*.test.ts'],
      [
        'manifest/*.test.ts',
        'semantics/*.test.ts',
        'compile/address.test.ts',
        'decide/*.test.ts',
        'report/*.test.ts',
        'replay/*.test.ts',
        'trace/own.test.ts',
        'law/canary.test.ts',
      ],
    ],
  },
  decide: {
    mutate: ['src/decide/**/*.ts'],
    entries: [
      ['semantics/*.test.ts', 'decide/*.test.ts', 'compile/program.test.ts'],
      ['law/engine-oracle.test.ts', 'law/packet.test.ts'],
    ],
  },
  compile: {
    mutate: ['src/compile/**/*.ts', '!src/compile/update*.ts'],
    entries: [
      ['semantics/*.test.ts', 'compile/*.test.ts'],
      ['law/engine-oracle.test.ts', 'law/rewriting.test.ts'],
    ],
  },
  incremental: {
    mutate: ['src/compile/update*.ts'],
    entries: [['compile/update*.test.ts'], ['compile/*.test.ts', 'law/*update*.test.ts']],
  },
};
