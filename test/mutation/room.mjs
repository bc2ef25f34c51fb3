/**
 * The rooms that mutation runs know: what is mutated, and which tests are asked, in the order of how quickly they find a mistake.
 * Each entry is bundled to one file; a mutant that one file kills is not given to the next.
 */

/**
 * Room -> its sources (globs) and its test entries, which are lists of test files below `test/`. `share`: of the usual runs of a law;
 * `without`: tests that ask what longer runs have met.
 */
export const ROOMS = {
  track: {
    mutate: ['src/track/**/*.ts'],
    share: 0.3,
    entries: [
      ['track/rule.test.ts', 'track/kernel-record.test.ts', 'track/scenario.test.ts'],
      ['track/exhaustive.test.ts', 'track/law.test.ts'],
      ['track/table.test.ts'],
    ],
  },
  model: {
    mutate: ['src/model/**/*.ts'],
    share: 1,
    entries: [['model/*.test.ts']],
  },
  decide: {
    mutate: ['src/decide/**/*.ts'],
    share: 0.06,
    without: ['some of those flows went through a Service'],
    entries: [
      ['semantics/scenario.test.ts', 'semantics/tier.test.ts', 'decide/*.test.ts'],
      ['law/engine-oracle.test.ts', 'law/packet.test.ts'],
    ],
  },
  compile: {
    mutate: ['src/compile/**/*.ts', '!src/compile/update*.ts'],
    share: 0.06,
    entries: [
      ['semantics/scenario.test.ts', 'semantics/tier.test.ts', 'compile/address.test.ts'],
      ['law/engine-oracle.test.ts', 'compile/update.test.ts'],
      ['compile/program.test.ts'],
    ],
  },
  incremental: {
    mutate: ['src/compile/update*.ts'],
    share: 0.5,
    entries: [['compile/update*.test.ts']],
  },
};
