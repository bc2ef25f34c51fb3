/**
 * The process of one contender in TypeScript: opens its job on the prepared folder, runs the passes and prints one line of JSON. run.ts
 * bundles this file with the options of the shipped bundles.
 *
 *     node contender.mjs NAME FOLDER PASSES SAMPLE VALUES-AS-JSON CLOCK
 */
import { isMainThread } from 'node:worker_threads';
import { runJob } from './job.ts';
import { JOBS } from './jobs.ts';

// A job's own threads load this file, too.
if (isMainThread) await main();

async function main(): Promise<void> {
  const [name, folder, passes, sample, values, clock] = process.argv.slice(2);
  const open = JOBS[name ?? ''];
  if (open === undefined || folder === undefined) throw new Error(`no contender is called ${name}`);
  const options = {
    passes: Number(passes),
    sample: Number(sample),
    values: JSON.parse(values ?? '{}') as Record<string, number>,
  };
  const result = await runJob(
    await open(folder, options),
    options.passes,
    clock === 'processor' ? 'processor' : 'wall',
  );
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
