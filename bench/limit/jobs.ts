/** Every contender in TypeScript. A new one, a WASM kernel say, is a function here and a line in table.ts. */
import { openBigInt6, openBlockList, openBlockList6, openIpaddr, openIpNum } from '../peers/address.ts';
import { openMapTracker } from '../peers/connection.ts';
import { openEveryRule, openNaive, openOracle } from '../peers/decision.ts';
import { openJsYaml, openOwnYaml, openYaml } from '../peers/manifest.ts';
import { openObvious } from '../peers/obvious.ts';
import { openDuckCsv, openDuckJson, openJsonLoop } from '../peers/trace.ts';
import { openPlain4, openPlain6, openWasm4, openWasm6 } from './address.ts';
import { openCompile } from './compilation.ts';
import { openPlainConnections, openWasmConnections } from './connection.ts';
import { openPlainDecision, openWasmDecision } from './decision.ts';
import type { OpenJob } from './job.ts';
import { openPlainReplay, openWasmReplay } from './replay.ts';
import { openThreads } from './thread.ts';

/** By the names that table.ts and process-table.ts give them. */
export const JOBS: Readonly<Record<string, OpenJob>> = {
  'plain ipv4': openPlain4,
  'wasm ipv4': openWasm4,
  'plain ipv6': openPlain6,
  'wasm ipv6': openWasm6,
  'plain decision': openPlainDecision,
  'wasm decision': openWasmDecision,
  'plain connections': openPlainConnections,
  'wasm connections': openWasmConnections,
  'plain replay': openPlainReplay,
  'wasm replay': openWasmReplay,
  'threads replay': openThreads,
  'BlockList ipv4': openBlockList,
  'BlockList ipv6': openBlockList6,
  'ipaddr.js ipv4': openIpaddr,
  'ip-num ipv4': openIpNum,
  'BigInt ipv6': openBigInt6,
  'Map connections': openMapTracker,
  'naive decision': openNaive,
  'every rule decision': openEveryRule,
  'oracle decision': openOracle,
  compile: openCompile,
  'own yaml': openOwnYaml,
  'yaml yaml': openYaml,
  'js-yaml yaml': openJsYaml,
  'JSON.parse hubble': openJsonLoop,
  'DuckDB hubble': openDuckJson,
  'DuckDB vpc': openDuckCsv,
  'obvious vpc': openObvious,
};
