/** Commands from argv to exit code, run in process on files of their own. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Bench, createBench, textStream } from './harness.ts';

const CLUSTER = `apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: front, namespace: shop, labels: {role: frontend}}
status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: back, namespace: shop, labels: {role: backend}}
status: {phase: Running, podIP: 10.1.0.2, podIPs: [{ip: 10.1.0.2}]}
`;

const policy = (role: string): string => `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: back-policy, namespace: shop}
spec:
  podSelector: {matchLabels: {role: backend}}
  ingress:
  - from: [{podSelector: {matchLabels: {role: ${role}}}}]
    ports: [{protocol: TCP, port: 8080}]
`;

const TRACE = `time,src,srcPort,dst,dstPort,protocol,verdict
2026-08-01T10:00:00Z,10.1.0.1,40001,10.1.0.2,8080,TCP,allow
2026-08-01T10:00:01Z,10.1.0.1,40002,10.1.0.2,8080,TCP,allow
2026-08-01T10:00:02Z,10.1.0.2,40003,198.51.100.7,443,TCP,allow
`;

const WITH = ['-f', 'cluster.yaml', '-f', 'policies'] as const;

describe('cli', () => {
  let bench: Bench;
  before(() => {
    bench = createBench({
      'cluster.yaml': CLUSTER,
      'entry.yaml':
        'apiVersion: v1\nkind: Service\nmetadata: {name: entry, namespace: shop}\nspec: {ports: [{port: 80}]}\n',
      'policies/back.yaml': policy('web'),
      'policies/notes.txt': 'no manifest',
      'mended.yaml': policy('frontend'),
      'flows.csv': TRACE,
      'good.csv': 'src,dst,protocol,port,expect\nshop/front,shop/back,TCP,8080,deny\n',
      'bad.csv':
        'src,dst,protocol,port,expect\nshop/front,shop/back,TCP,8080,allow\nshop/back,shop/front,TCP,1,allow\n',
      'unknown.csv': 'src,dst,protocol,port,expect\nshop/frnt,shop/back,TCP,8080,deny\n',
      'broken.yaml': policy('web').replace('podSelector', 'podSelectr'),
      'noise.bin': '\u0001\u0002 nothing that is known\n'.repeat(4),
      'malformed.csv': `${TRACE}2026-08-01T10:00:03Z,10.1.0.300,1,10.1.0.2,8080,TCP,allow\n`,
    });
  });
  after(() => bench.remove());

  describe('replay', () => {
    it('reports the drop with policy, place and nearest miss, and exits 1', async () => {
      const { code, stdout, stderr } = await bench.run(['replay', ...WITH, 'flows.csv']);
      assert.equal(code, 1, stderr);
      assert.match(stdout, /shop\/front -> shop\/back {2}TCP\/8080 +2 connections/);
      assert.match(stdout, /policies\/back\.yaml:7.*admits role=web; the source is role=frontend/s);
      assert.match(stdout, /3 of 3 records understood \(100\.0 %\), 0 lost: result is complete\n$/);
      assert.equal(stderr, 'dropcast: 2 connections would be dropped (--fail-on drop)\n');
    });

    it('exits 0 with the mended policy, a later -f in place of an earlier one, and says that it did', async () => {
      const { code, stdout, stderr } = await bench.run(['replay', ...WITH, '-f', 'mended.yaml', 'flows.csv']);
      assert.equal(code, 0, stderr);
      assert.ok(stdout.includes('Nothing would be dropped.'));
      assert.match(stderr, /note: .*\[replaced-object\]/s);
    });

    it('compares with a baseline and fails on new drops alone', async () => {
      const worse = await bench.run(['replay', ...WITH, '--baseline', 'mended.yaml', 'flows.csv']);
      assert.equal(worse.code, 1, worse.stderr);
      assert.match(worse.stdout, /newly dropped +2 {2}connections/);
      const same = await bench.run(['replay', ...WITH, '--baseline', 'policies', 'flows.csv']);
      assert.equal(same.code, 0, same.stderr);
      assert.match(same.stdout, /Dropped by both: 2 connections/);
      const better = await bench.run([
        'replay',
        '-f',
        'cluster.yaml',
        '-f',
        'mended.yaml',
        '--baseline',
        'policies',
        'flows.csv',
      ]);
      assert.equal(better.code, 0, better.stderr);
      assert.match(better.stdout, /Newly allowed: 2 connections/);
    });

    it('--delete takes the policy away', async () => {
      const { code, stderr } = await bench.run([
        'replay',
        ...WITH,
        '--delete',
        'NetworkPolicy/shop/back-policy',
        'flows.csv',
      ]);
      assert.equal(code, 0, stderr);
    });

    it('--fail-on never and undecidable', async () => {
      assert.equal((await bench.run(['replay', ...WITH, '--fail-on', 'never', 'flows.csv'])).code, 0);
      assert.equal((await bench.run(['replay', ...WITH, '--fail-on', 'undecidable', 'flows.csv'])).code, 0);
      assert.equal((await bench.run(['replay', ...WITH, '--fail-on', 'undecidable,drop', 'flows.csv'])).code, 1);
    });

    it('exits 3 on malformed records beyond --max-malformed, after the findings, and still prints the result', async () => {
      const argv = ['replay', ...WITH, 'malformed.csv'];
      assert.equal((await bench.run(argv)).code, 1, 'a finding goes before incomplete data');
      const incomplete = await bench.run([...argv, '--fail-on', 'never']);
      assert.equal(incomplete.code, 3);
      assert.match(incomplete.stderr, /1 malformed record, more than --max-malformed 0/);
      assert.match(incomplete.stdout, /1 malformed/);
      assert.equal((await bench.run([...argv, '--fail-on', 'never', '--max-malformed', '1'])).code, 0);
    });

    it('says on stderr where no record was replayed: a gate does not pass on nothing unheard', async () => {
      bench.write('header.csv', TRACE.slice(0, TRACE.indexOf('\n') + 1));
      for (const argv of [['header.csv'], ['--since', '2030-01-01T00:00:00Z', 'flows.csv']]) {
        const { code, stdout, stderr } = await bench.run(['replay', ...WITH, ...argv]);
        assert.equal(code, 0);
        assert.match(stdout, /No record was replayed/);
        assert.match(stderr, /^dropcast: no record was replayed: this says nothing about the policies$/m);
      }
    });

    it('reads the trace, or the manifests, from stdin, never both', async () => {
      const trace = await bench.run(['replay', ...WITH, '-'], { stdin: textStream(TRACE) });
      assert.equal(trace.code, 1, trace.stderr);
      const manifests = await bench.run(['replay', '-f', '-', 'flows.csv'], {
        stdin: textStream(`${CLUSTER}---\n${policy('web')}`),
      });
      assert.equal(manifests.code, 1, manifests.stderr);
      assert.equal((await bench.run(['replay', '-f', '-', '-'])).code, 2);
    });

    it('prints the result so far when it is interrupted, also while stdin is silent', async () => {
      let interrupt = (): void => {};
      async function* endless(): AsyncGenerator<Uint8Array> {
        yield new TextEncoder().encode(TRACE);
        setTimeout(interrupt, 20);
        await new Promise(() => {});
      }
      const { code, stdout, stderr } = await bench.run(['replay', '--fail-on', 'never', ...WITH, '-'], {
        stdin: endless(),
        onInterrupt: (handler) => {
          interrupt = handler;
        },
      });
      assert.equal(code, 3, stderr);
      assert.match(stderr, /interrupted/);
      assert.match(stdout, /Replayed [23] connections/);
      assert.match(stdout, /result is incomplete\n$/);
    });

    it('writes every format, json with the schema version', async () => {
      for (const format of ['wide', 'json', 'ndjson', 'csv', 'md']) {
        const { code, stdout } = await bench.run(['replay', ...WITH, '-o', format, 'flows.csv']);
        assert.equal(code, 1);
        assert.ok(stdout.includes('back-policy'), format);
        if (format === 'json') assert.equal((JSON.parse(stdout) as { schemaVersion: string }).schemaVersion, '1.0');
      }
    });

    it('--redact leaves no name and no address, the same in every run', async () => {
      const first = await bench.run(['replay', ...WITH, '--redact', 'flows.csv']);
      assert.equal(first.code, 1);
      assert.doesNotMatch(first.stdout + first.stderr, /shop|front|10\.1\.|198\.51|cluster\.yaml|flows|role/);
      assert.deepEqual(await bench.run(['replay', ...WITH, '--redact', 'flows.csv']), first);
    });

    it('--redact says why a code is not 0, in numbers', async () => {
      const dropped = await bench.run(['replay', ...WITH, '--redact', 'flows.csv']);
      assert.equal(dropped.stderr, 'dropcast: 2 connections would be dropped (--fail-on drop)\n');
      const refused = await bench.run(['replay', ...WITH, '--redact', 'noise.bin']);
      assert.equal(refused.code, 2);
      assert.equal(refused.stderr, 'dropcast: an input could not be read whole: the accounting shows which\n');
    });

    it('colours terminals alone, and not under NO_COLOR', async () => {
      const argv = ['replay', ...WITH, 'flows.csv'];
      assert.ok((await bench.run(argv, { terminals: ['stdout'] })).stdout.includes('\u001b['));
      assert.ok(!(await bench.run(argv, { terminals: ['stdout'], env: { NO_COLOR: '1' } })).stdout.includes('\u001b['));
      assert.ok(!(await bench.run(argv)).stdout.includes('\u001b['));
    });

    it('refuses what cannot be read, with the path, before it reads anything', async () => {
      for (const [argv, message] of [
        [['replay', ...WITH, 'missing.pcap'], /missing\.pcap: no such file/],
        [['replay', '-f', 'missing.yaml', 'flows.csv'], /missing\.yaml: no such file/],
        [['replay', ...WITH, 'policies'], /policies: is a folder/],
        [['replay', 'flows.csv'], /no manifests/],
        [['replay', ...WITH, '--fail-on', 'new-drop', 'flows.csv'], /needs a --baseline/],
        [['replay', ...WITH, '--packets', '--stateless', 'flows.csv'], /exclude each other/],
        [
          ['replay', ...WITH, '--conntrack-max', '0', 'flows.csv'],
          /'0' is invalid. Expected a whole number of at least 1/,
        ],
        [['replay', ...WITH, '--threads', '65', 'flows.csv'], /Expected a whole number from 1 to 64/],
        [['replay', ...WITH, '--top', '-1', 'flows.csv'], /Expected a whole number of at least 0/],
        [
          ['replay', ...WITH, '--dialect', 'icmp=sometimes', 'flows.csv'],
          /icmp is one of by-ports-absent, always, never/,
        ],
        [['replay', ...WITH, '--fields', 'version srcaddr', 'flows.log'], /neither dstaddr nor pkt-dstaddr/],
        [['replay', ...WITH, '--map', 'source=a', 'flows.csv'], /no field is called "source"/],
      ] as const) {
        const { code, stdout, stderr } = await bench.run(argv);
        assert.equal(code, 2, argv.join(' '));
        assert.match(stderr, message);
        assert.equal(stdout, '');
      }
    });

    it('prints the result and exits 2 where a trace is of no known format', async () => {
      const { code, stdout, stderr } = await bench.run(['replay', ...WITH, 'flows.csv', 'noise.bin']);
      assert.equal(code, 2);
      assert.match(stderr, /noise\.bin: no known trace format/);
      assert.match(stdout, /2 connections/);
      assert.match(stdout, /incomplete\n$/);
      const alone = await bench.run(['replay', ...WITH, 'noise.bin']);
      assert.match(alone.stderr, /^dropcast: noise\.bin: no known trace format.*\n$/, 'one reason, and the right one');
    });

    it('refuses a mapping that says two things of a field, or none', async () => {
      bench.write('map.json', '{"columns": {"src": "a", "dst": {}}}');
      bench.write('twice.json', '{"columns": {"src": "a", "dst": "b"}, "src": "c"}');
      for (const [map, words] of [
        ['src=a,dst=b,src=c', /^dropcast: --map: src is given twice\n$/],
        ['twice.json', /^dropcast: --map: src is given twice\n$/],
        ['map.json', /^dropcast: --map map\.json: dst: expected a text, found \{\}\n$/],
      ] as const) {
        const { code, stderr } = await bench.run(['replay', ...WITH, '--map', map, 'flows.csv']);
        assert.equal(code, 2);
        assert.match(stderr, words);
      }
    });

    it('maps the columns of a CSV file', async () => {
      bench.write('odd.csv', 'A,B,C,D\n10.1.0.1,10.1.0.2,8080,TCP\n');
      const { code, stdout, stderr } = await bench.run([
        'replay',
        ...WITH,
        '--map',
        'src=A,dst=B,dstPort=C,protocol=D',
        'odd.csv',
      ]);
      assert.equal(code, 1, stderr);
      assert.match(stdout, /TCP\/8080/);
    });
  });

  describe('explain', () => {
    it('explains one connection by names and by addresses', async () => {
      for (const [src, dst] of [
        ['shop/front', 'shop/back'],
        ['10.1.0.1', '10.1.0.2'],
      ] as const) {
        const { code, stdout, stderr } = await bench.run(['explain', ...WITH, src, dst, 'TCP/8080']);
        assert.equal(code, 0, stderr);
        assert.match(stdout, /verdict {2}deny/);
        assert.match(stdout, /admits role=web; the source is role=frontend/);
      }
    });

    it('reads ICMP with and without a type', async () => {
      for (const service of ['ICMP', 'ICMP/8', 'icmp/3/1'])
        assert.match((await bench.run(['explain', ...WITH, 'shop/front', 'shop/back', service])).stdout, /ICMP/);
    });

    it('tells who writes a number alone what it is taken for', async () => {
      const { code, stderr } = await bench.run(['explain', ...WITH, 'shop/front', 'shop/back', '80']);
      assert.equal(code, 0);
      assert.equal(stderr, 'dropcast: 80 is taken for an IP protocol; a port is written TCP/80\n');
    });

    it('refuses unknown names, wrong services and wrong counts of arguments', async () => {
      for (const [args, message] of [
        [['shop/frnt', 'shop/back', 'TCP/80'], /shop\/frnt/],
        [['shop/front', 'shop/back', 'TPC/80'], /no protocol is called "TPC"/],
        [['shop/front', 'shop/back', 'TCP/70000'], /behind TCP is expected a port, a number up to 65535/],
        [['shop/front', 'shop/back'], /SRC DST PROTO\/PORT/],
      ] as const) {
        const { code, stderr } = await bench.run(['explain', ...WITH, ...args]);
        assert.equal(code, 2);
        assert.match(stderr, message);
      }
    });

    it('suggests the nearest name, but none where names are secret', async () => {
      for (const [src, dst, near] of [
        ['shop/frnt', 'shop/back', 'shop/front'],
        ['front', 'shop/back', 'shop/front'],
        ['shp/front', 'shop/back', 'shop/front'],
        ['shop/Pod/frnot', 'shop/back', 'shop/front'],
        ['shop/front', 'shop/entry', 'entry.shop'],
        ['shop/front', 'shop/Service/entry', 'entry.shop'],
      ] as const) {
        const { stderr } = await bench.run(['explain', ...WITH, '-f', 'entry.yaml', src, dst, 'TCP/80']);
        assert.match(stderr, new RegExp(`did you mean "${near}"\\?`), src);
      }
      for (const args of [
        ['shop/frnt', 'shop/back', '--redact'],
        ['other/thing', 'shop/back'],
      ]) {
        const { code, stderr } = await bench.run(['explain', ...WITH, ...args, 'TCP/80']);
        assert.equal(code, 2);
        assert.doesNotMatch(stderr, /did you mean/);
      }
    });

    it('explains a scenario file and compares it with what it expects', async () => {
      const scenario = new URL('../scenario/default-deny-both.txt', import.meta.url).pathname;
      const text = readFileSync(scenario, 'utf8');
      const good = await bench.run(['explain', scenario]);
      assert.equal(good.code, 0, good.stderr);
      assert.match(good.stdout, /as expected/);
      const at = text.indexOf('-- expected --');
      bench.write('wrong.txt', text.slice(0, at) + text.slice(at).replace(/\bdeny\b/, 'allow'));
      const wrong = await bench.run(['explain', 'wrong.txt']);
      assert.equal(wrong.code, 1, wrong.stdout);
      assert.match(wrong.stderr, /differ/);
    });
  });

  describe('names', () => {
    it('takes a kind in any case, and says of a source in the form of a Service what it is', async () => {
      const lower = await bench.run(['explain', ...WITH, 'shop/pod/front', 'shop/POD/back', 'TCP/8080']);
      const plain = await bench.run(['explain', ...WITH, 'shop/front', 'shop/back', 'TCP/8080']);
      assert.equal(lower.code, plain.code, lower.stderr);
      assert.match(lower.stdout, /deny/i);
      const source = await bench.run(['explain', ...WITH, 'cronjob.x', 'shop/back', 'TCP/1']);
      assert.equal(source.code, 2);
      assert.match(source.stderr, /cronjob\.x has the form of a Service, .* a pod or workload is x\/cronjob/);
    });
  });

  describe('test', () => {
    it('passes, fails with expected, found and why, and refuses unknown names', async () => {
      const good = await bench.run(['test', ...WITH, 'good.csv']);
      assert.deepEqual([good.code, good.stdout], [0, '1 passed, 0 failed\n']);
      const bad = await bench.run(['test', ...WITH, 'good.csv', 'bad.csv']);
      assert.equal(bad.code, 1);
      assert.match(bad.stdout, /FAIL bad\.csv:2.*expected allow, found deny.*role=frontend.*2 passed, 1 failed\n$/s);
      const unknown = await bench.run(['test', ...WITH, 'unknown.csv', 'bad.csv']);
      assert.equal(unknown.code, 2);
      assert.match(unknown.stdout, /ERROR unknown\.csv:2/);
      assert.match(unknown.stdout, /1 passed, 1 failed, 1 not judged/);
    });

    it('counts rows that cannot be read or judged alike on stdout and stderr', async () => {
      bench.write('unread.csv', 'src,dst,protocol,port,expect\nshop/front,shop/back,TCP,8080,perhaps\n');
      const one = await bench.run(['test', ...WITH, 'unread.csv', 'good.csv']);
      assert.deepEqual([one.code, one.stdout], [2, '1 passed, 0 failed, 1 not judged\n']);
      assert.match(one.stderr, /: 1 row could not be judged: it names/);
      const two = await bench.run(['test', ...WITH, 'unread.csv', 'unknown.csv', '-o', 'json']);
      assert.equal((JSON.parse(two.stdout) as { errors: number }).errors, 2);
      assert.match(two.stderr, /: 2 rows could not be judged: they name/);
    });

    it('an empty test is no pass', async () => {
      bench.write('empty.csv', 'src,dst,protocol,port,expect\n');
      assert.equal((await bench.run(['test', ...WITH, 'empty.csv'])).code, 2);
      const { code, stderr } = await bench.run(['test', ...WITH, 'good.csv', 'empty.csv']);
      assert.deepEqual([code, stderr], [2, 'dropcast: 1 of 2 files: no rows: an empty test proves nothing\n']);
    });
  });

  describe('check', () => {
    it('accepts, and counts what it read', async () => {
      const { code, stdout } = await bench.run(['check', ...WITH]);
      assert.equal(code, 0);
      assert.match(stdout, /1 NetworkPolicy/);
      assert.match(stdout, /accepted: 0 errors/);
    });

    it('refuses what the other commands refuse: a bad dialect, and stdin twice', async () => {
      for (const [argv, said] of [
        [['--dialect', 'icmpp=never'], /"icmpp=never" is not KEY=VALUE with a known key/],
        [['--dialect', 'icmp=sometimes'], /icmp is one of/],
        [['-f', '-', '-f', '-'], /stdin \(-\) can be read once/],
      ] as const) {
        const { code, stdout, stderr } = await bench.run(['check', ...WITH, ...argv]);
        assert.deepEqual([code, stdout], [2, '']);
        assert.match(stderr, said);
      }
    });

    it('reads what PowerShell redirects, and says of a folder which file it could not read', async () => {
      const text = `\ufeff${policy('web')}`;
      const little = Buffer.from(text, 'utf16le');
      for (const [name, bytes] of [
        ['little.yaml', little],
        ['big.yaml', Buffer.from(little).swap16()],
      ] as const) {
        writeFileSync(join(bench.folder, name), bytes);
        assert.match((await bench.run(['check', '-f', name])).stdout, /read: 1 NetworkPolicy/);
      }
      bench.write('partly/good.yaml', policy('web'));
      symlinkSync('nowhere', join(bench.folder, 'partly', 'gone.yaml'));
      const { code, stderr } = await bench.run(['check', '-f', 'partly']);
      assert.deepEqual([code, stderr], [2, 'dropcast: partly/gone.yaml: no such file or folder [unreadable-file]\n']);
    });

    it('refuses what holds no manifest: nothing, an empty pipe, binary files, a path without -f', async () => {
      bench.write('nothing.yaml', '# all of it was conditional\n');
      bench.write('capture.yaml', '\0\u0001\u0002');
      const { stderr: piped } = await bench.run(['check', '-f', '-'], { stdin: textStream('\0\u0001') });
      assert.match(piped, /^dropcast: -: is binary/);
      for (const [argv, said] of [
        [['-f', 'nothing.yaml'], /no object in the manifests/],
        [['-f', '-'], /stdin is empty/],
        [['-f', 'capture.yaml'], /capture\.yaml: is binary/],
        [['cluster.yaml'], /manifests are named with -f: dropcast check -f cluster\.yaml/],
      ] as const) {
        const { code, stderr } = await bench.run(['check', ...argv]);
        assert.equal(code, 2, argv.join(' '));
        assert.match(stderr, said);
      }
      const { code, stderr } = await bench.run(['replay', ...WITH, 'cluster.yaml']);
      assert.equal(code, 2);
      assert.match(stderr, /looks like a Kubernetes manifest, which -f reads/);
    });

    it('refuses with place, caret and hint; replay refuses the same', async () => {
      const { code, stdout } = await bench.run(['check', '-f', 'broken.yaml']);
      assert.equal(code, 2);
      assert.match(
        stdout,
        /broken\.yaml:5:3: error:.*\n.*podSelectr.*\n.*\^\^\^\^\^\^\^\^\^\^\n.*did you mean "podSelector"/,
      );
      const replayed = await bench.run(['replay', '-f', 'cluster.yaml', '-f', 'broken.yaml', 'flows.csv']);
      assert.equal(replayed.code, 2);
      assert.equal(replayed.stdout, '');
    });
  });

  describe('convert', () => {
    it('writes what replay reads with the same result', async () => {
      const plain = await bench.run(['replay', ...WITH, '-o', 'csv', 'flows.csv']);
      for (const [file, ...to] of [['flows.ndjson'], ['copy.csv'], ['flows.bin', '--to', 'binary']] as const) {
        const converted = await bench.run(['convert', 'flows.csv', '-o', file, ...to]);
        assert.equal(converted.code, 0, converted.stderr);
        assert.match(converted.stderr, /3 records read, 3 rows written/);
        assert.equal((await bench.run(['replay', ...WITH, '-o', 'csv', file])).stdout, plain.stdout, file);
      }
    });

    it('leaves no file behind where an input is refused', async () => {
      const { code } = await bench.run(['convert', 'noise.bin', '-o', 'never.ndjson']);
      assert.equal(code, 2);
      assert.ok(!existsSync(join(bench.folder, 'never.ndjson')));
      assert.deepEqual(
        readdirSync(bench.folder).filter((name) => name.endsWith('.partial')),
        [],
      );
    });

    it('refuses to overwrite its input, and asks for a format', async () => {
      symlinkSync('flows.csv', join(bench.folder, 'link.csv'));
      for (const output of ['./flows.csv', 'link.csv', 'policies'])
        assert.equal((await bench.run(['convert', 'flows.csv', '-o', output, '--to', 'csv'])).code, 2, output);
      assert.match((await bench.run(['convert', 'flows.csv', '-o', 'flows.xyz'])).stderr, /--to ndjson\|csv\|binary/);
      assert.equal(readFileSync(join(bench.folder, 'flows.csv'), 'utf8'), TRACE);
    });
  });

  describe('usage', () => {
    it('helps on stdout with examples, exit 0', async () => {
      for (const argv of [
        ['--help'],
        ['replay', '--help'],
        ['explain', '-h'],
        ['help', 'test'],
        ['check', '--help'],
        ['convert', '--help'],
      ]) {
        const { code, stdout, stderr } = await bench.run(argv);
        assert.deepEqual([code, stderr], [0, ''], argv.join(' '));
        assert.match(stdout, /Examples:\n {2}dropcast/);
      }
    });

    it('prints its version', async () => {
      const { code, stdout } = await bench.run(['--version']);
      assert.equal(code, 0);
      assert.match(stdout, /^\S+\n$/);
    });

    it('says that there is not enough memory, in a sentence, exit 2', async () => {
      for (const error of [
        new RangeError('Array buffer allocation failed'),
        Object.assign(new Error('Worker terminated'), { code: 'ERR_WORKER_OUT_OF_MEMORY' }),
      ]) {
        const { code, stderr } = await bench.run(['replay', ...WITH, 'flows.csv'], {
          // It fails where nobody expects it.
          env: new Proxy({}, { get: () => assert.fail(error) }),
        });
        assert.deepEqual([code, stderr], [2, `dropcast: there is not enough memory: ${error.message}\n`]);
      }
    });

    it('suggests the command or option that was meant, exit 2', async () => {
      const command = await bench.run(['repaly']);
      assert.deepEqual([command.code, command.stderr.includes('Did you mean replay?')], [2, true]);
      const option = await bench.run(['replay', '--tpo', '3', 'x']);
      assert.deepEqual([option.code, option.stderr.includes('Did you mean --top?')], [2, true]);
      assert.equal((await bench.run([])).code, 2);
    });

    it('refuses an empty path, which a variable that is not set leaves, and what is no namespace', async () => {
      for (const argv of [
        ['replay', '-f', '', 'flows.csv'],
        ['replay', ...WITH, ''],
        ['replay', ...WITH, '--baseline', '', 'flows.csv'],
        ['convert', 'flows.csv', '-o', ''],
        ['generate', '--out', ''],
        ['check', ...WITH, '-n', ''],
        ['check', ...WITH, '-n', 'Shop_1'],
        ['replay', ...WITH, '--fail-on', 'drop,never', 'flows.csv'],
      ]) {
        const { code, stderr } = await bench.run(argv);
        assert.equal(code, 2, argv.join(' '));
        assert.match(stderr, /^dropcast: .*is invalid.*\. (Expected|never stands alone)/, argv.join(' '));
      }
    });

    it('tells a failing system call in words, with the path as it was given', async () => {
      for (const [argv, words] of [
        [['convert', 'flows.csv', '-o', 'flows.csv/x.csv'], /^dropcast: flows\.csv\/x\.csv: not a directory\n$/],
        [['convert', 'flows.csv', '-o', `${'x'.repeat(300)}.csv`], /^dropcast: x+\.csv: name too long\n$/],
        [['generate', '--out', 'flows.csv'], /^dropcast: --out: file already exists\n$/],
        [['replay', ...WITH, 'flows.csv/x'], /^dropcast: flows\.csv\/x: not a directory \[unreadable-file\]\n$/],
      ] as const) {
        const { code, stderr } = await bench.run(argv);
        assert.equal(code, 2, argv.join(' '));
        assert.match(stderr, words);
      }
    });

    it('escapes what it repeats of the command line', async () => {
      for (const argv of [['replay', ...WITH, 'a\u001b[2Jb'], ['\u001b[2J'], ['replay', '--\u001b[2J']]) {
        const { code, stderr } = await bench.run(argv);
        assert.equal(code, 2);
        assert.ok(!stderr.includes('\u001b'), JSON.stringify(stderr));
      }
    });
  });
});
