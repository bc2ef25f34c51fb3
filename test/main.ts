/**
 * The one entry of `npm test`: imports every `*.test.ts` below this folder into one process, in the order of the flow.
 * A folder of its own (`kernel`) has an entry of its own. Arguments are path fragments: only files that contain one run.
 */
import { readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
const order = [
  'model',
  'manifest',
  'trace',
  'generate',
  'compile',
  'decide',
  'track',
  'replay',
  'oracle',
  'fuzz',
  'report',
  'cli',
];
const wanted = process.argv.slice(2);

const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts') && (wanted.length === 0 || wanted.some((part) => file.includes(part))))
  .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
if (files.length === 0) throw new Error(`no test file matches ${wanted.join(' ') || relative(process.cwd(), root)}`);
for (const file of files) await import(pathToFileURL(join(root, file)).href);

function rank(file: string): number {
  const index = order.indexOf(file.split(/[\\/]/)[0]!);
  return index < 0 ? order.length : index;
}
