/** A translation that one file states holds for the others from its time on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDictionary } from '../../src/model/flow.ts';
import { createAccount } from '../../src/trace/account.ts';
import { FileTranslations } from '../../src/trace/file-translation.ts';
import { mergeByTime } from '../../src/trace/merge.ts';
import { readTrace } from '../../src/trace/read.ts';
import { chunksOf, ethernet, ip, pcap, tcp, toRow } from './build.ts';

const POD = '10.244.1.5';
const VIP = '10.96.0.10';
const BACKEND = '10.244.1.6';
const T0 = 1_795_226_107_000_000;
const TUPLES = `src=${POD} dst=${VIP} sport=45500 dport=80 src=${BACKEND} dst=${POD} sport=8080 dport=45500`;
const CAPTURE = pcap(1, [
  { frame: ethernet(0x0800, ip(POD, VIP, 6, tcp(45_500, 80, 2, 7))), timeUs: T0 },
  { frame: ethernet(0x0800, ip(VIP, POD, 6, tcp(80, 45_500, 18, 9))), timeUs: T0 + 1000 },
  { frame: ethernet(0x0800, ip(POD, VIP, 6, tcp(45_501, 80, 2, 7))), timeUs: T0 + 2000 },
]);

async function seenWith(text: string) {
  const dictionary = createDictionary();
  const translations = new FileTranslations();
  const inputs = [CAPTURE, Buffer.from(text)].map((bytes, key) =>
    readTrace(chunksOf(bytes, 1000), { file: String(key), account: createAccount(String(key)), dictionary }),
  );
  const rows: string[] = [];
  for await (const merged of mergeByTime(inputs)) {
    assert.ok('batch' in merged);
    translations.apply(merged.batch, merged.from, merged.to);
    for (let row = merged.from; row < merged.to; row++) {
      if (merged.batch.origin![row] !== 0) continue;
      const { src, srcPort, dst, dstPort, preDst } = toRow(merged.batch, row, dictionary);
      rows.push(`${src}:${srcPort} ${dst}:${dstPort} ${String(preDst)}`);
    }
  }
  return rows;
}

const [FORWARD, REVERSE] = [`${POD}:45500 ${BACKEND}:8080 ${VIP}`, `${BACKEND}:8080 ${POD}:45500 `];
const [FORWARD_AS_IT_IS, REVERSE_AS_IT_IS] = [`${POD}:45500 ${VIP}:80 `, `${VIP}:80 ${POD}:45500 `];
const OTHER = `${POD}:45501 ${VIP}:80 `;

test('a connection table without times holds for a whole capture, for its connections alone', async () => {
  assert.deepEqual(await seenWith(`tcp 6 431999 ESTABLISHED ${TUPLES} [ASSURED] mark=0 use=1\n`), [
    FORWARD,
    REVERSE,
    OTHER,
  ]);
});

test('an event holds from 10 ms before its time on: it is noted after the packet', async () => {
  const event = (time: string) => `[${time}]\t    [NEW] tcp      6 120 SYN_SENT ${TUPLES}\n`;
  assert.deepEqual(await seenWith(event('1795226107.000500')), [FORWARD, REVERSE, OTHER]);
  assert.deepEqual(await seenWith(event('1795226107.010500')), [FORWARD_AS_IT_IS, REVERSE, OTHER]);
});

test('an entry that states no translation teaches nothing', async () => {
  const plain = TUPLES.replace(VIP, BACKEND).replace('dport=80 ', 'dport=8080 ');
  assert.deepEqual(await seenWith(`tcp 6 431999 ESTABLISHED ${plain} [ASSURED] mark=0 use=1\n`), [
    FORWARD_AS_IT_IS,
    REVERSE_AS_IT_IS,
    OTHER,
  ]);
});
