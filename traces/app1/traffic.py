"""The clients: `python3 traffic.py WHAT [ARG...]`, run by record.py inside the namespace of whoever acts. Exits 0 whatever the peer does:
a refused or unanswered attempt is part of the recording.
"""

import http.client
import socket
import struct
import sys
import time

import topology
import wire


def open_tcp(address, port, timeout=2.0, source=None):
    """A connected socket, or None where the attempt failed."""
    try:
        return socket.create_connection((address, port), timeout, (source, 0) if source else None)
    except OSError as error:
        print(f"  {address} {port}: {error}", flush=True)
        return None


def get(address, port, path="/", source=None, requests=1):
    """HTTP over one connection, which the client closes."""
    connection = http.client.HTTPConnection(address, port, timeout=5, source_address=(source, 0) if source else None)
    try:
        for number in range(requests):
            connection.request("GET", path, headers={"Connection": "keep-alive" if number + 1 < requests else "close"})
            connection.getresponse().read()
    except OSError as error:
        print(f"  {address} {port}: {error}", flush=True)
    finally:
        connection.close()


def browse():
    """People outside: by the node's port over both families, and straight at the pods, where the pod network is routed."""
    for number in range(66):
        path = "/items" if number % 3 else "/"
        get(topology.NODE[0], topology.NODE_PORT, path, topology.USERS[number % 3], 3 if number % 16 == 0 else 1)
    for number in range(14):
        path = "/items" if number % 2 else "/"
        get(topology.NODE[1], topology.NODE_PORT, path, topology.USERS_V6[number % 2])
    for number in range(8):
        _, v4, v6 = topology.pods_of("frontend")[number % 2]
        get(v6 if number >= 6 else v4, 80, "/", topology.USERS_V6[0] if number >= 6 else topology.USERS[0])


def probe():
    """The kubelet's health checks: the node asks each pod for a page, over IPv4."""
    for _ in range(3):
        for role, port in (("frontend", 80), ("backend", 5678)):
            for _, v4, _ in topology.pods_of(role):
                get(v4, port, "/healthz")
        time.sleep(0.3)


def call(address, port, count="1", path="/items"):
    """HTTP requests, one connection each."""
    for _ in range(int(count)):
        get(address, int(port), path)


def select(address, count="1"):
    """Queries of the database, one connection each."""
    for _ in range(int(count)):
        sock = open_tcp(address, 3306)
        if sock:
            with sock:
                wire.receive_packet(sock)
                wire.send_packet(sock, 0, b"\x03SELECT 1")
                wire.receive_packet(sock)
                wire.send_packet(sock, 0, b"\x01")


def names(server, count, *wanted):
    """Look-ups over UDP."""
    for number in range(int(count)):
        try:
            wire.resolve(server, wanted[number % len(wanted)])
        except OSError as error:
            print(f"  {server}: {error}", flush=True)


def connect(address, *ports):
    """TCP attempts without data."""
    for port in ports:
        sock = open_tcp(address, int(port), timeout=1.5)
        if sock:
            sock.close()


def abort(address, port):
    """A connection that the client ends with RST."""
    sock = open_tcp(address, int(port))
    if sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: app1\r\n\r\n")
        sock.recv(4096)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


def datagram(address, port, ttl="64"):
    """One UDP datagram that nobody expects, and a look at what comes back."""
    v6 = ":" in address
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if v6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, int(ttl))
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(ttl))
        sock.settimeout(0.4)
        sock.connect((address, int(port)))
        sock.send(b"is anybody there")
        try:
            sock.recv(64)
        except OSError as error:
            print(f"  {address} {port}: {error}", flush=True)


def echo(address, ident, count="3", size="56"):
    """ICMP echo requests under one identifier, at an even pace."""
    v6 = ":" in address
    family = socket.AF_INET6 if v6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_RAW, socket.getprotobyname("ipv6-icmp" if v6 else "icmp")) as sock:
        sock.settimeout(0.5)
        for sequence in range(int(count)):
            body = bytes(range(256)) * (int(size) // 256 + 1)
            header = struct.pack(">BBHHH", 128 if v6 else 8, 0, 0, int(ident), sequence + 1)
            message = header + body[: int(size)]
            if not v6:
                message = message[:2] + struct.pack(">H", checksum(message)) + message[4:]
            sock.sendto(message, (address, 0))
            try:
                sock.recv(4096)
            except OSError as error:
                print(f"  {address}: {error}", flush=True)
            time.sleep(0.05)


def checksum(message):
    """RFC 1071."""
    padded = message + b"\0" * (len(message) % 2)
    total = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


ACTIONS = {
    action.__name__: action for action in (browse, probe, call, select, names, connect, abort, datagram, echo)
}
ACTIONS[sys.argv[1]](*sys.argv[2:])
