#!/usr/bin/env python3
"""Counts what is in a capture of record.py, without dropcast: `./count.py [capture.pcap]` prints counts.json.

Knows only what this capture holds: little-endian pcap in microseconds, Linux cooked v2, no VLAN, no IPv6 extension header. Address
translation keeps the client's address and port here, so a TCP connection is a client, its port and its first sequence number.
"""

import json
import os
import struct
import sys
from collections import Counter
from ipaddress import ip_address

path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "capture.pcap")
data = open(path, "rb").read()
magic, _, _, _, _, _, link = struct.unpack_from("<IHHIIII", data)
assert (magic, link) == (0xA1B2C3D4, 276), "not a little-endian SLL2 capture"

records, sightings, protocols, icmp = Counter(), Counter(), Counter(), Counter()
opened, answered, refused, udp, echo = {}, set(), set(), {}, {}
segments, tcp_keys, fragments, retransmitted = Counter(), set(), 0, 0
first = last = None
at = 24
while at < len(data):
    seconds, micros, kept, _ = struct.unpack_from("<IIII", data, at)
    packet, at = data[at + 16 : at + 16 + kept], at + 16 + kept
    records["all"] += 1
    last = seconds * 1_000_000 + micros
    first = last if first is None else first
    ethertype, _, interface, _, kind = struct.unpack_from(">HHIHB", packet)
    name = {0x0800: "ipv4", 0x86DD: "ipv6", 0x0806: "arp"}[ethertype]
    records[name] += 1
    sightings[{0: "in", 1: "broadcast", 2: "multicast", 4: "out"}[kind]] += 1
    if name == "arp":
        continue
    ip = packet[20:]
    if name == "ipv4":
        header, protocol = (ip[0] & 15) * 4, ip[9]
        source, target, size = ip[12:16], ip[16:20], struct.unpack_from(">H", ip, 2)[0]
        offset = struct.unpack_from(">H", ip, 6)[0]
        fragments += bool(offset & 0x3FFF)
        if offset & 0x1FFF:
            continue
    else:
        header, protocol, source, target = 40, ip[6], ip[8:24], ip[24:40]
        size = 40 + struct.unpack_from(">H", ip, 4)[0]
    payload, version = ip[header:], 4 if name == "ipv4" else 6
    protocols[{1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}[protocol]] += 1
    if protocol == 6:
        sport, dport, seq, ack, flags = struct.unpack_from(">HHIIH", payload)
        length = size - header - (flags >> 12) * 4
        client, server = (source, sport), (target, dport)
        if flags & 0x12 == 0x02:
            opened[(client, seq)] = version
        if flags & 0x12 == 0x12:
            answered.add((server, (ack - 1) & 0xFFFFFFFF))
        if flags & 0x14 == 0x14:
            refused.add((server, (ack - 1) & 0xFFFFFFFF))
        tcp_keys |= {client, server}
        if length or flags & 3:
            key = (interface, kind, client, server, seq, length, flags & 3)
            retransmitted += key in segments
            segments[key] += 1
    elif protocol == 17:
        sport, dport = struct.unpack_from(">HH", payload)
        if sport not in (53, 31000):
            udp[(source, sport)] = version
    else:
        icmp[f"{'icmp' if version == 4 else 'icmpv6'} {payload[0]}/{payload[1]}"] += 1
        if payload[0] in (8, 128):
            echo[(source, target, payload[4:6])] = version

clients = {key for key, _ in opened}
servers = (80, 443, 22, 3306, 5678, 53, 31000)
early = {key for key in tcp_keys if key[1] not in servers and key not in clients}
by_version = lambda table: {f"ipv{version}": sum(v == version for v in table.values()) for version in (4, 6)}
print(json.dumps({
    "records": dict(records), "sightings": dict(sightings), "recordsByProtocol": dict(protocols),
    "laterOrFirstFragments": fragments, "recordsByIcmpType": dict(sorted(icmp.items())),
    "connections": {
        "tcp": by_version(opened), "tcpOpenBefore": len(early), "udp": by_version(udp), "icmpEcho": by_version(echo),
        "all": len(opened) + len(early) + len(udp) + len(echo),
    },
    "tcpAnswered": len(set(opened) & answered), "tcpRefused": len(set(opened) & refused - answered),
    "tcpUnanswered": len(set(opened) - answered - refused), "tcpRetransmittedRecords": retransmitted,
    "openBefore": sorted(f"{ip_address(address)}:{port}" for address, port in early),
    "firstUs": first, "lastUs": last,
}, indent=2))
