/** What the readers of logs make of a trace survives the way through dropcast's own formats. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createDictionary } from '../../src/model/flow.ts';
import { createAccount } from '../../src/trace/account.ts';
import { readTrace } from '../../src/trace/read.ts';
import { createWriter } from '../../src/trace/write.ts';
import { chunksOf, readAll, type Row } from './build.ts';

const FILES = [
  'fixture/tcpdump.txt',
  'fixture/nfdump.csv',
  'fixture/nfdump-custom.csv',
  'fixture/nfdump.ndjson',
  'fixture/netfilter-kernel.txt',
  'fixture/netfilter-syslog.txt',
  'fixture/ulogd.json',
  'fixture/suricata.json',
  'fixture/antrea-flow.csv',
  'fixture/antrea-clickhouse.csv',
  'fixture/antrea-np.log',
  'fixture/ovn-acl.log',
  'fixture/policy-assistant.json',
  '../../traces/several-tools/tcpdump.txt',
  '../../traces/several-tools/tcpdump/nn-tttt-v.txt',
];

for (const format of ['ndjson', 'binary'] as const)
  test(`rows of every log, written as ${format} and read again, are the same`, async () => {
    for (const file of FILES) {
      const bytes = readFileSync(new URL(file, import.meta.url));
      const dictionary = createDictionary();
      const account = createAccount(file);
      const writer = createWriter(format, dictionary);
      const parts: Uint8Array[] = [];
      for await (const batch of readTrace(chunksOf(bytes, 65_536), { file, dictionary, account }))
        parts.push(writer.write(batch).slice());
      parts.push(writer.end());
      const plain = (row: Row): unknown => ({ ...row, line: 0 });
      const again = await readAll(Buffer.concat(parts));
      const { rows } = await readAll(bytes);
      assert.ok(rows.length > 0, file);
      assert.deepEqual(again.rows.map(plain), rows.map(plain), file);
    }
  });
