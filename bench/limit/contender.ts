/**
 * The process of one contender in TypeScript: opens its job on the prepared folder, runs the passes and prints one line of JSON. bench/limit
 * bundles this file with the options of the shipped bundles; a new contender is a function in `JOBS`.
 *
 *     node contender.mjs NAME FOLDER PASSES SAMPLE VALUES-AS-JSON
 */
import { openBigInt6, openBlockList, openBlockList6, openIpaddr, openIpNum } from '../peers/address.ts';
import { openMapTracker } from '../peers/connection.ts';
import { openNaive, openOracle } from '../peers/decision.ts';
import { openPlain4, openPlain6 } from './address.ts';
import { openPlainConnections } from './connection.ts';
import { openPlainDecision } from './decision.ts';
import { type OpenJob, runJob } from './job.ts';
import { openPlainReplay } from './replay.ts';

/** Every contender in TypeScript, by the name that bench/limit/table.ts gives it. */
const JOBS: Readonly<Record<string, OpenJob>> = {
  'plain ipv4': openPlain4,
  'plain ipv6': openPlain6,
  'plain decision': openPlainDecision,
  'plain connections': openPlainConnections,
  'plain replay': openPlainReplay,
  'BlockList ipv4': openBlockList,
  'BlockList ipv6': openBlockList6,
  'ipaddr.js ipv4': openIpaddr,
  'ip-num ipv4': openIpNum,
  'BigInt ipv6': openBigInt6,
  'Map connections': openMapTracker,
  'naive decision': openNaive,
  'oracle decision': openOracle,
};

const [name, folder, passes, sample, values] = process.argv.slice(2);
const open = JOBS[name ?? ''];
if (open === undefined || folder === undefined) throw new Error(`no contender is called ${name}`);
const options = {
  passes: Number(passes),
  sample: Number(sample),
  values: JSON.parse(values ?? '{}') as Record<string, number>,
};
const result = await runJob(await open(folder, options), options.passes);
process.stdout.write(`${JSON.stringify(result)}\n`);
