// Compiles the WASM scanners of traces: src/trace/*-scan.as.ts (AssemblyScript) to src/trace/*-scan-code.ts, which are committed.
// `npm run build` compiles them again and refuses what differs; a test looks at the hash of each source.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compileAssembly } from './assembly.mjs';

// Pages of memory are those of 64 KiB.
const SCANS = [
  { file: 'hubble-scan', name: 'HUBBLE_SCAN_CODE', title: 'The WASM tokenizer of Hubble records', pages: 272 },
  { file: 'aws-vpc-scan', name: 'AWS_VPC_SCAN_CODE', title: 'The WASM scanner of VPC flow logs', pages: 8 },
  { file: 'pcap-scan', name: 'PCAP_SCAN_CODE', title: 'The WASM scanner of packet captures', pages: 7 },
  { file: 'binary-scan', name: 'BINARY_SCAN_CODE', title: 'What is asked of the columns of columnar traces', pages: 0 },
];

/** Throws where a committed module is not what its source gives. */
export async function checkScans() {
  for (const scan of SCANS)
    if (readFileSync(outputOf(scan), 'utf8') !== (await compileScan(scan)))
      throw new Error(`${outputOf(scan)} is not what its source gives: run \`npm run build:kernel\``);
}

/** The text of the generated module. Throws with the compiler's own messages. */
function compileScan({ file, name, title, pages }) {
  const entry = `src/trace/${file}.as.ts`;
  const hash = createHash('sha256').update(readFileSync(entry)).digest('hex');
  return compileAssembly(
    entry,
    // What has no memory of its own works on one that it is given.
    ['--enable', 'simd', ...(pages === 0 ? ['--importMemory'] : ['--initialMemory', String(pages)])],
    name,
    (size) => `/**
 * ${title}, ${size} bytes. Made by \`npm run build:kernel\` from ${entry}; not for editing.
 * Source: ${hash}
 */`,
  );
}

function outputOf({ file }) {
  return `src/trace/${file}-code.ts`;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const scan of SCANS) {
    const text = await compileScan(scan);
    writeFileSync(outputOf(scan), text);
    console.log(text.split('\n')[1]);
  }
