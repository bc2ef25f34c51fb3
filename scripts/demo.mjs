// The main job on the shipped trace: what the policies as taught would drop, and what the mended ones change.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

if (!existsSync('dist/cli.cjs')) {
  const { status } = spawnSync(process.execPath, ['scripts/build.mjs'], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

const app = 'traces/app1';
run("The course's three-tier application, its traffic recorded, and its policies as taught:", [
  'replay',
  '-f',
  `${app}/cluster.yaml`,
  '-f',
  `${app}/policies`,
  '--top',
  '5',
  '--fail-on',
  'never',
  `${app}/capture.pcap`,
]);
run('The same traffic with the mended policies, compared with those as taught:', [
  'replay',
  '-f',
  `${app}/cluster.yaml`,
  '-f',
  `${app}/mended`,
  '--baseline',
  `${app}/policies`,
  '--top',
  '3',
  '--fail-on',
  'never',
  `${app}/capture.pcap`,
]);

function run(title, args) {
  console.log(`${title}\n\n$ npx dropcast ${args.join(' ')}\n`);
  const { status } = spawnSync(process.execPath, ['dist/cli.cjs', ...args], { stdio: 'inherit' });
  console.log();
  if (status !== 0) process.exit(status ?? 1);
}
