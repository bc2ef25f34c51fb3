/**
 * Asks the kernel about policies: random clusters become an nftables ruleset on the lab's router, random packets either come out
 * at the other end or do not, and the engine, which reads the same cluster from its manifests, must have said so.
 */
import { loadManifests } from '../../src/manifest/load.ts';
import type { AddressText } from '../../src/model/address.ts';
import { canonicalAddress } from '../../src/model/address.ts';
import { DEFAULT_DIALECT } from '../../src/model/dialect.ts';
import type { World } from '../../src/model/evaluator.ts';
import type { EndpointRef, Flow } from '../../src/model/flow.ts';
import { VERDICT_NAMES } from '../../src/model/verdict.ts';
import { engine } from '../../src/replay/session.ts';
import type { Row } from '../track/row.ts';
import { type RawCluster, addressText, createCluster, createPackets, writeManifest } from './cluster.ts';
import { frameOf } from './frame.ts';
import { type Asked, type Hunt, MOST_LOOKED_AT, type Question } from './hunt.ts';
import { type Lab, openLab } from './lab.ts';
import { createRuleset } from './ruleset.ts';
import { createRandom } from './traffic.ts';

const PACKETS_PER_CLUSTER = 2000;
const MOST_PRINTED = 5;
const RETRIES = 2;

interface Tally {
  readonly counts: Map<string, number>;
  verdicts: number;
  askedAgain: number;
  mismatches: number;
}

/** A cluster and packets, with what the engine says of them. */
interface Draft {
  readonly cluster: RawCluster;
  readonly rows: readonly Row[];
  readonly question: Extract<Question, { kind: 'flows' }>;
}

/**
 * Compares `wanted` verdicts or a few more; returns the exit code. Some canaries show in few clusters: for those that live then more clusters are
 * drafted, and the kernel is asked about the ones where it should contradict them.
 */
export async function testPolicies(wanted: number, seed: number, hunt: Hunt): Promise<number> {
  console.log(`kernel policy test: ${wanted} verdicts, seed ${seed}`);
  const tally: Tally = { counts: new Map(), verdicts: 0, askedAgain: 0, mismatches: 0 };
  const started = performance.now();
  let [clusters, looked] = [0, 0];
  const lab = openLab('flush ruleset\n');
  try {
    for (; tally.verdicts < wanted; clusters++) await askCluster(lab, draftCluster(seed + clusters), tally, hunt);
    for (; looked < MOST_LOOKED_AT && hunt.alive('flows').length > 0; looked++) {
      const draft = draftCluster(seed + clusters + looked);
      if (hunt.wouldCatch(draft.question)) await askCluster(lab, draft, tally, hunt);
    }
  } finally {
    lab.close();
  }
  if (looked > 0) console.log(`${looked} more clusters were looked at for canaries that lived`);
  const seconds = (performance.now() - started) / 1000;
  const counts = [...tally.counts].sort().map(([name, count]) => `${name} ${count}`);
  console.log(
    `${tally.verdicts} verdicts in ${clusters} clusters, ${tally.mismatches} mismatches, ${tally.askedAgain} asked again, ${seconds.toFixed(1)} s`,
  );
  console.log(`kernel's verdicts: ${counts.join(', ')}`);
  const kinds = [4, 6].flatMap((family) => ['arrives', 'dropped'].map((verdict) => `IPv${family} ${verdict}`));
  const isVaried = kinds.every((kind) => (tally.counts.get(kind) ?? 0) > tally.verdicts / 20);
  if (!isVaried) console.log('too few verdicts of one kind: the clusters are not what they should be');
  return tally.mismatches === 0 && isVaried ? 0 : 1;
}

function draftCluster(seed: number): Draft {
  const random = createRandom(seed);
  const cluster = createCluster(random);
  const rows = createPackets(random, cluster, PACKETS_PER_CLUSTER);
  const world = loadWorld(cluster);
  const session = engine.load(world);
  const asked = rows.map((row): Asked<Flow> => {
    const packet = flowOf(row);
    return { packet, said: VERDICT_NAMES[session.judge(packet).verdict]! };
  });
  return { cluster, rows, question: { kind: 'flows', name: `cluster seed ${seed}`, world, asked } };
}

async function askCluster(lab: Lab, { cluster, rows, question }: Draft, tally: Tally, hunt: Hunt): Promise<void> {
  const said = question.asked.map((asked) => asked.said);
  lab.load(createRuleset(cluster));
  const found = await askKernel(lab, rows);
  // The rules keep no state, so that a frame that was lost on a busy machine can be asked for again.
  for (let again = 0; again < RETRIES; again++) {
    const doubtful = rows.flatMap((_, at) => (found[at] === 'deny' && said[at] === 'allow' ? [at] : []));
    if (doubtful.length === 0) break;
    tally.askedAgain += doubtful.length;
    const answers = await askKernel(
      lab,
      doubtful.map((at) => rows[at]!),
    );
    doubtful.forEach((at, index) => (found[at] = answers[index]!));
  }
  hunt.ask({ ...question, asked: question.asked.map(({ packet }, at) => ({ packet, said: found[at]! })) });
  for (const [at, row] of rows.entries()) {
    const kind = `IPv${row.family} ${found[at] === 'allow' ? 'arrives' : 'dropped'}`;
    tally.counts.set(kind, (tally.counts.get(kind) ?? 0) + 1);
    tally.verdicts++;
    if (said[at] === found[at]) continue;
    tally.mismatches++;
    if (tally.mismatches <= MOST_PRINTED)
      console.log(
        `MISMATCH (${question.name}): kernel ${found[at]}, engine ${said[at]}: ${JSON.stringify(flowOf(row))}\n${writeManifest(cluster)}\n${createRuleset(cluster)}`,
      );
  }
}

/** Sends openings through the lab: what comes out at the other end is allowed. */
async function askKernel(lab: Lab, rows: readonly Row[]): Promise<('allow' | 'deny')[]> {
  const marks = await lab.exchange(rows.map((row, number) => frameOf(row, number, { isTagReflected: false })));
  return Array.from(marks, (mark) => (mark === 255 ? 'deny' : 'allow'));
}

/** The world of the manifests. Throws where the reader refuses one: the generator makes none that it should. */
export function loadWorld(cluster: RawCluster): World {
  const { snapshot, policies, diagnostics } = loadManifests(
    [{ path: 'cluster.json', text: writeManifest(cluster), group: 0 }],
    { namespace: 'default', validate: 'strict', remove: [] },
  );
  const refused = diagnostics.filter(({ severity }) => severity === 'error');
  if (refused.length > 0) throw new Error(refused.map(({ message }) => message).join('\n'));
  return { snapshot, policies, dialect: DEFAULT_DIALECT };
}

/** The flow that a row of the lab is the first packet of. */
export function flowOf({ protocol, family, src, dst, dstPort, icmp }: Row): Flow {
  const end = (number: number): EndpointRef => ({
    kind: 'address',
    address: canonicalAddress(addressText(number, family === 6 ? 6 : 4)) as AddressText,
  });
  return {
    src: end(src),
    dst: end(dst),
    protocol,
    ...(icmp === undefined ? { port: dstPort! } : { icmp }),
  };
}
