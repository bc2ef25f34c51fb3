"""The servers of the three tiers, the cluster's DNS and the hosts outside: `python3 tier.py ROLE`, standard library only.

frontend  HTTP on 80; `/items` looks backend-svc up and asks it
backend   HTTP on 5678; `/items` looks the database up and queries it; holds one connection to the database from its start
db        MySQL's framing on 3306: greeting, query, rows, quit
dns       UDP and TCP on 53; the cluster's names, everything else asked of the resolver outside
outside   that resolver, and a socket that takes metrics and never answers
"""

import http.client
import http.server
import itertools
import json
import signal
import socket
import socketserver
import struct
import sys
import threading
import time

import topology
import wire

DNS = [topology.SERVICES["kube-dns"][0], topology.SERVICES["kube-dns"][1]]
turn = itertools.count()
served = itertools.count()


def look_up(name):
    """An address of a name: every fifth look-up takes IPv6 all the way, every eleventh asks over TCP."""
    number = next(turn)
    use_v6 = number % 5 == 4
    v4, v6 = wire.resolve(DNS[use_v6], f"{name}.{topology.DOMAIN}", "tcp" if number % 11 == 10 else "udp")
    return (v6 if use_v6 else v4)[0]


class DualStack(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """A client that breaks off is part of the recording."""

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "app1", self.server_address[1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        try:
            status, body = self.answer()
        except OSError as error:
            status, body = 502, f"{type(error).__name__}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Frontend(Handler):
    def answer(self):
        if self.path != "/items":
            return 200, b"<!doctype html><title>app1</title><p>Ask for /items\n"
        connection = http.client.HTTPConnection(look_up("backend-svc"), 5678, timeout=5)
        connection.request("GET", "/items", headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body


class Backend(Handler):
    def answer(self):
        if self.path != "/items":
            return 200, b"ok\n"
        with socket.create_connection((look_up("db-svc"), 3306), timeout=5) as sock:
            wire.receive_packet(sock)
            rows = query(sock, b"SELECT id, name FROM items")
            wire.send_packet(sock, 0, b"\x01")
        if next(served) % 6 == 0:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as metrics:
                metrics.sendto(b"app1.items:1|c", (topology.METRICS[0], 8125))
        return 200, json.dumps(rows.decode().split(",")).encode()


def query(sock, text):
    wire.send_packet(sock, 0, b"\x03" + text)
    return wire.receive_packet(sock)


def hold_connection():
    """One connection that lives as long as the backend and is used twice a second."""
    address = topology.pods_of("db")[0][1]
    with socket.create_connection((address, 3306), timeout=5) as sock:
        wire.receive_packet(sock)
        while True:
            query(sock, b"SELECT 1")
            time.sleep(0.5)


class Database(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            wire.send_packet(self.request, 0, b"\x0a8.0.0-app1\0")
            while True:
                command = wire.receive_packet(self.request)
                if command[:1] == b"\x01":
                    return
                wire.send_packet(self.request, 1, b"1,apple,2,pear,3,plum" if b"items" in command else b"1")
        except OSError:
            pass


class ThreadedTcp(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


def answer_name(message):
    ident, name, kind, question = wire.decode_query(message)
    record = topology.zone().get(name)
    if record is None and not name.endswith(".cluster.local"):
        v4, v6 = wire.resolve(topology.RESOLVER[0], name)
        record = (v4, v6)
    addresses = [] if record is None else record[0] if kind == wire.A else record[1]
    return wire.encode_answer(ident, question, kind, addresses, record is not None)


class DnsTcp(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            while True:
                (size,) = struct.unpack(">H", wire.receive_exactly(self.request, 2))
                message = answer_name(wire.receive_exactly(self.request, size))
                self.request.sendall(struct.pack(">H", len(message)) + message)
        except OSError:
            pass


def serve_dns_udp(addresses):
    """One socket an address, so that an answer leaves from the address that was asked."""

    def serve(address):
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, 53))
        while True:
            message, peer = sock.recvfrom(2048)
            try:
                sock.sendto(answer_name(message), peer)
            except OSError:
                pass

    for address in addresses:
        threading.Thread(target=serve, args=(address,), daemon=True).start()


def serve_outside():
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind((topology.METRICS[0], 8125))
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((topology.RESOLVER[0], 53))
    while True:
        message, peer = sock.recvfrom(2048)
        ident, _, kind, question = wire.decode_query(message)
        addresses = ["198.51.100.80"] if kind == wire.A else ["2001:db8:51::80"]
        sock.sendto(wire.encode_answer(ident, question, kind, addresses, True), peer)


def main(role, name):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if role == "frontend":
        DualStack(("::", 80), Frontend).serve_forever()
    elif role == "backend":
        threading.Thread(target=hold_connection, daemon=True).start()
        DualStack(("::", 5678), Backend).serve_forever()
    elif role == "db":
        ThreadedTcp(("::", 3306), Database).serve_forever()
    elif role == "dns":
        _, v4, v6 = topology.PODS[name]
        serve_dns_udp([v4, v6])
        ThreadedTcp(("::", 53), DnsTcp).serve_forever()
    else:
        serve_outside()


main(sys.argv[1], sys.argv[2])
