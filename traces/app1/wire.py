"""What both ends speak: a DNS message with one question, and length-prefixed packets as MySQL frames them."""

import socket
import struct

A, AAAA = 1, 28


def encode_name(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.rstrip(".").split(".")) + b"\0"


def encode_query(ident, name, kind):
    return struct.pack(">HHHHHH", ident, 0x0100, 1, 0, 0, 0) + encode_name(name) + struct.pack(">HH", kind, 1)


def decode_query(message):
    """(id, name, type, bytes of the question)."""
    (ident,) = struct.unpack_from(">H", message)
    parts, at = [], 12
    while message[at]:
        parts.append(message[at + 1 : at + 1 + message[at]].decode())
        at += 1 + message[at]
    (kind,) = struct.unpack_from(">H", message, at + 1)
    return ident, ".".join(parts), kind, message[12 : at + 5]


def encode_answer(ident, question, kind, addresses, exists):
    family = socket.AF_INET if kind == A else socket.AF_INET6
    answers = b""
    for address in addresses:
        data = socket.inet_pton(family, address)
        answers += struct.pack(">HHHIH", 0xC00C, kind, 1, 5, len(data)) + data
    header = struct.pack(">HHHHHH", ident, 0x8580 | (0 if exists else 3), 1, len(addresses), 0, 0)
    return header + question + answers


def decode_answer(message):
    """(id, addresses)."""
    ident, _, _, count, _, _ = struct.unpack_from(">HHHHHH", message)
    at = 12
    while message[at]:
        at += 1 + message[at]
    at += 5
    addresses = []
    for _ in range(count):
        _, kind, _, _, size = struct.unpack_from(">HHHIH", message, at)
        data = message[at + 12 : at + 12 + size]
        addresses.append(socket.inet_ntop(socket.AF_INET if kind == A else socket.AF_INET6, data))
        at += 12 + size
    return ident, addresses


def receive_exactly(sock, size):
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise ConnectionError("closed early")
        data += chunk
    return data


def send_packet(sock, sequence, payload):
    sock.sendall(struct.pack("<I", len(payload))[:3] + bytes([sequence]) + payload)


def receive_packet(sock):
    header = receive_exactly(sock, 4)
    return receive_exactly(sock, int.from_bytes(header[:3], "little"))


def resolve(server, name, transport="udp", timeout=1.0):
    """Asks for A and AAAA over one socket, as the C library does; ([IPv4], [IPv6]). One retry, then OSError."""
    questions = [encode_query(0x2000, name, A), encode_query(0x2001, name, AAAA)]
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    for attempt in range(2):
        kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
        with socket.socket(family, kind) as sock:
            sock.settimeout(timeout)
            try:
                sock.connect((server, 53))
                found = {}
                for question in questions:
                    framed = struct.pack(">H", len(question)) + question if transport == "tcp" else question
                    sock.sendall(framed)
                while len(found) < 2:
                    if transport == "tcp":
                        message = receive_exactly(sock, *struct.unpack(">H", receive_exactly(sock, 2)))
                    else:
                        message = sock.recv(2048)
                    ident, addresses = decode_answer(message)
                    found[ident] = addresses
                return found[0x2000], found[0x2001]
            except OSError:
                if attempt:
                    raise
    raise AssertionError("unreachable")
