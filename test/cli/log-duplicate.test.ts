/** Records of one connection (both rules, both directions, several intervals or interfaces) end as one connection in the forecast. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type Bench, createBench } from './harness.ts';

const POD = (name: string, address: string): string => `apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: shop, labels: { app: ${name} } }
spec: { containers: [{ name: c, image: c }] }
status: { phase: Running, podIP: ${address}, podIPs: [{ ip: ${address} }] }
`;
const CLUSTER = `apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
${POD('web', '10.0.0.1')}---
${POD('db', '10.0.0.2')}`;

const bench: Bench = createBench({ 'cluster.yaml': CLUSTER });
after(() => bench.remove());

const np = (direction: string, pod: string): string =>
  `2026/11/21 01:55:07.804416 Rule K8sNetworkPolicy:shop/p <nil> ${direction} Allow 190 shop/${pod} 10.0.0.1 45500 10.0.0.2 80 TCP 60 <nil>\n`;
const ovn = (direction: string): string =>
  `2026-11-21T01:55:07.571Z|1|acl_log(ovn_pinctrl0)|INFO|name="NP:a", verdict=allow, severity=info, direction=${direction}: tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=45500,tp_dst=80,tcp_flags=syn\n`;
const antrea = (end: number): string =>
  `1795226107,${end},10.0.0.1,10.0.0.2,45500,80,6,web,shop,n1,db,shop,n2,,0,,,,,1,1,,,,0,0\n`;
const eve = (type: string, counts: object): string =>
  `${JSON.stringify({ timestamp: '2026-11-21T02:00:00.000000+0000', flow_id: 1, event_type: type, src_ip: '10.0.0.1', src_port: 45_500, dest_ip: '10.0.0.2', dest_port: 80, proto: 'TCP', [type]: { start: '2026-11-21T01:55:07.571090+0000', ...counts }, tcp: { tcp_flags: '1b', tcp_flags_ts: '1b' } })}\n`;
const netfilter = (prefix: string): string =>
  `[12.000000] ${prefix}: IN=a OUT=b SRC=10.0.0.1 DST=10.0.0.2 LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=1 DF PROTO=TCP SPT=45500 DPT=80 WINDOW=1 RES=0x00 SYN URGP=0\n`;
const tcpdump = (place: string): string =>
  `1795226107.571091 ${place} IP 10.0.0.1.45500 > 10.0.0.2.80: Flags [S], seq 1, win 1, options [TS val 1 ecr 0], length 0\n`;

const TRACES: Record<string, string> = {
  'antrea-np': np('Egress', 'web') + np('Ingress', 'db'),
  'ovn-acl': ovn('from-lport') + ovn('to-lport'),
  'antrea-flow': antrea(1795226112) + antrea(1795226172) + antrea(1795226232),
  suricata: eve('netflow', { pkts: 5, bytes: 286 }) + eve('flow', { pkts_toserver: 5, pkts_toclient: 4 }),
  'netfilter-log': netfilter('new') + netfilter('drop'),
  'tcpdump-text': tcpdump('va    In ') + tcpdump('vb    Out'),
  'nfdump-csv': `firstSeen,proto,srcAddr,srcPort,dstAddr,dstPort,flags,packets
1795226107584,6,10.0.0.1,45500,10.0.0.2,80,...AP.S.,5
1795226107584,6,10.0.0.2,80,10.0.0.1,45500,...AP.S.,4
1795226407584,6,10.0.0.1,45500,10.0.0.2,80,...AP..F,9
`,
};

test('each log: one connection from web to db on port 80, and not partial', async () => {
  for (const [format, text] of Object.entries(TRACES)) {
    bench.write('trace', text);
    const { stdout, stderr } = await bench.run(['replay', '-f', 'cluster.yaml', '-o', 'json', 'trace']);
    const { groups, accounts } = JSON.parse(stdout) as {
      groups: {
        connections: number;
        port: number;
        isPartial: boolean;
        verdict: string;
        source: { workload?: { name: string } };
      }[];
      accounts: { format: string }[];
    };
    assert.equal(accounts[0]!.format, format, stderr);
    assert.deepEqual(
      groups.map((group) => [
        group.source.workload?.name,
        group.port,
        group.connections,
        group.isPartial,
        group.verdict,
      ]),
      [['web', 80, 1, false, 'allow']],
      format,
    );
  }
});
