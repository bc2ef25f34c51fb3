/** Small logs of each kind, written for these tests after the tools' formats; the byte tests cut and damage them. */

/** Events of a connection through a ClusterIP, of an echo, and of a connection that was there before. */
export const CONNTRACK_EVENTS = `[1795226107.572549]\t    [NEW] ipv4     2 tcp      6 120 SYN_SENT src=10.0.0.1 dst=10.96.0.10 sport=4000 dport=80 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=8080 dport=4000 id=77
[1795226107.572585]\t [UPDATE] ipv4     2 tcp      6 60 SYN_RECV src=10.0.0.1 dst=10.96.0.10 sport=4000 dport=80 src=10.0.0.2 dst=10.0.0.1 sport=8080 dport=4000 id=77
[1795226108.000001]\t    [NEW] ipv6     10 icmpv6   58 30 src=fd00::1 dst=fd00::2 type=128 code=0 id=4242 [UNREPLIED] src=fd00::2 dst=fd00::1 type=129 code=0 id=4242 id=78
[1795226109.000000]\t[DESTROY] ipv4     2 tcp      6 src=10.0.0.1 dst=10.96.0.10 sport=4000 dport=80 packets=5 bytes=286 src=10.0.0.2 dst=10.0.0.1 sport=8080 dport=4000 packets=4 bytes=200 [ASSURED] id=77
[1795226110.000000]\t[DESTROY] ipv4     2 udp      17 src=10.0.0.3 dst=10.0.0.4 sport=5000 dport=53 packets=1 bytes=60 src=10.0.0.4 dst=10.0.0.3 sport=53 dport=5000 packets=1 bytes=90 id=79
`;

/** A dump as `conntrack -L -o ktimestamp` prints it. */
export const CONNTRACK_DUMP = `tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.96.0.10 sport=4000 dport=80 packets=5 bytes=286 src=10.0.0.2 dst=10.0.0.254 sport=8080 dport=61000 packets=4 bytes=200 [ASSURED] mark=0 delta-time=4 [start=Sat Nov 21 01:55:07 2026] use=1
udp      17 26 src=10.0.0.1 dst=10.0.0.9 sport=4001 dport=53 [UNREPLIED] src=10.0.0.9 dst=10.0.0.1 sport=53 dport=4001 mark=0 delta-time=4 [start=Sun Nov  1 01:55:07 2026] use=1
`;

/** /proc/net/nf_conntrack: IPv6 in full, zones, a protocol without ports. */
export const CONNTRACK_PROC = `ipv6     10 tcp      6 119 TIME_WAIT src=fd00:0000:0000:0000:0000:0000:0000:0001 dst=fd00:0000:0000:0000:0000:0000:0000:0002 sport=4000 dport=80 packets=6 bytes=458 src=fd00:0000:0000:0000:0000:0000:0000:0002 dst=fd00:0000:0000:0000:0000:0000:0000:0001 sport=80 dport=4000 packets=4 bytes=302 [ASSURED] mark=0 zone=0 delta-time=0 use=2
ipv4     2 unknown  47 500 src=10.0.0.1 dst=10.0.0.2 src=10.0.0.2 dst=10.0.0.1 mark=0 zone=3 use=2
`;

/** `-o save`: a translated connection and an echo. */
export const CONNTRACK_SAVED = `-A -t 116 -u SEEN_REPLY,ASSURED -s 10.0.0.1 -d 10.96.0.10 -g 10.0.0.2 -q 10.0.0.1 -p tcp --sport 4000 --dport 80 --reply-port-src 8080 --reply-port-dst 4000 --state TIME_WAIT
-A -t 30 -u UNSET -s 10.0.0.1 -d 10.0.0.9 -r 10.0.0.9 -q 10.0.0.1 -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 7
`;

/** `-o xml`: the same connection as an event, then its end. */
export const CONNTRACK_XML_TEXT: string = ['new', 'destroy']
  .map(
    (type) =>
      `<flow type="${type}"><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>10.0.0.1</src><dst>10.96.0.10</dst></layer3><layer4 protonum="6" protoname="tcp"><sport>4000</sport><dport>80</dport></layer4></meta><meta direction="reply"><layer3 protonum="2" protoname="ipv4"><src>10.0.0.2</src><dst>10.0.0.1</dst></layer3><layer4 protonum="6" protoname="tcp"><sport>8080</sport><dport>4000</dport></layer4></meta><meta direction="independent"><state>SYN_SENT</state><timeout>120</timeout><id>493090829</id><unreplied/></meta><when><hour>1</hour><min>55</min><sec>07</sec><wday>7</wday><day>21</day><month>11</month><year>2026</year></when></flow>\n`,
  )
  .reduce((text, line) => text + line, '<?xml version="1.0" encoding="utf-8"?>\n<conntrack>\n')
  .concat('</conntrack>\n');

/** VPC flow logs with a header: both ends' records of one flow, its answers, a gap, a silent window. */
export const AWS_VPC_TEXT = `version interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status pkt-srcaddr pkt-dstaddr tcp-flags flow-direction
5 eni-0a 10.0.0.1 10.0.0.2 4000 80 6 6 500 1700000000 1700000060 ACCEPT OK 10.0.0.11 10.0.0.12 3 egress
5 eni-0b 10.0.0.1 10.0.0.2 4000 80 6 6 500 1700000010 1700000070 ACCEPT OK 10.0.0.11 10.0.0.12 3 ingress
5 eni-0a 10.0.0.2 10.0.0.1 80 4000 6 5 900 1700000000 1700000060 ACCEPT OK 10.0.0.12 10.0.0.11 18 ingress
5 eni-0a - - - - - - - 1700000060 1700000120 - NODATA - - - -
5 eni-0a - - - - - - - 1700000120 1700000180 - SKIPDATA - - - -
5 eni-0a fd00::1 fd00::2 0 0 58 1 64 1700000200 1700000260 ACCEPT OK - - 0 egress
`;

/** The default fields, without a header, as CloudWatch delivers them; the second with a control message. */
export const AWS_CLOUDWATCH_TEXT: string = `${JSON.stringify({
  messageType: 'DATA_MESSAGE',
  subscriptionFilters: ['message'],
  logEvents: [
    {
      id: '1',
      timestamp: 1,
      message: '2 123 eni-0a 10.0.0.1 10.0.0.2 4000 80 6 6 500 1700000000 1700000060 ACCEPT OK',
    },
    {
      id: '2',
      timestamp: 1,
      message: '2 123 eni-0a 10.0.0.3 10.0.0.2 4000 80 6 6\t500 1700000000 1700000060 ACCEPT OK\n',
    },
  ],
})}${JSON.stringify({ messageType: 'CONTROL_MESSAGE', logEvents: [{ message: 'CWL CONTROL MESSAGE: Checking.' }] }, null, 1)}\n`;

/** A conn.log: a connection, one that Zeek turned round, one met in the middle, an echo, one with an escape. */
export const ZEEK_TEXT: string = String.raw`#separator \x09
#set_separator	,
#empty_field	(empty)
#unset_field	-
#path	conn
#fields	ts	uid	id.orig_h	id.orig_p	id.resp_h	id.resp_p	proto	service	orig_bytes	resp_bytes	conn_state	history	orig_pkts	orig_ip_bytes	resp_pkts	resp_ip_bytes
#types	time	string	addr	port	addr	port	enum	string	count	count	string	string	count	count	count	count
1700000000.000001	C1	10.0.0.1	4000	10.0.0.2	80	tcp	http\x2cssl	100	200	SF	ShADadFf	6	420	5	480
1700000001.000000	C2	10.0.0.1	4001	10.0.0.2	80	tcp	-	-	-	SF	^hADd	6	420	-	-
1700000002.000000	C3	10.0.0.1	4002	10.0.0.2	80	tcp	-	0	0	OTH	C	0	0	0	0
1700000003.000000	C4	fd00::1	128	fd00::2	129	icmp	-	8	8	OTH	-	1	56	1	56
#close	2026-11-21-00-00-00
`;

/** The same in JSON, in both spellings of keys and times, and a line of another log. */
export const ZEEK_JSON_TEXT = `{"_path":"conn","ts":1700000000.000001,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":4000,"id.resp_h":"10.0.0.2","id.resp_p":80,"proto":"tcp","conn_state":"SF","history":"ShADadFf","orig_pkts":6,"orig_ip_bytes":420,"resp_pkts":5,"resp_ip_bytes":480}
{"_path":"dns","ts":1700000000.5,"id.orig_h":"10.0.0.1","id.orig_p":4000,"id.resp_h":"10.0.0.2","id.resp_p":53}
{"ts":"2023-11-14T22:13:21.000000Z","id_orig_h":"10.0.0.1","id_orig_p":4001,"id_resp_h":"10.0.0.2","id_resp_p":80,"proto":"tcp","conn_state":"SF","history":"^hADd","orig_pkts":6,"orig_ip_bytes":420}
`;
