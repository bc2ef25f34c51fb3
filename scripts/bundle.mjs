// What every bundle of the project is made with: those that are shipped, and the one that bench/limit measures.
// Checks inside hot loops are written `if (verify) ...`; `verify` is defined away here and on in tests.
import { readFileSync } from 'node:fs';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

/** The worker of a replay on several threads, beside the bundles that start it. */
export const THREAD = 'replay-thread.cjs';

/** Options of esbuild. */
export const BUNDLE = {
  bundle: true,
  target: 'node20',
  logLevel: 'warning',
  legalComments: 'none',
  define: {
    'globalThis.DROPCAST_VERIFY': 'false',
    'globalThis.DROPCAST_VERSION': JSON.stringify(version),
    'globalThis.DROPCAST_THREAD': JSON.stringify(`./${THREAD}`),
  },
};
