"""Sends frames into two network namespaces and says with which DSCP each one came out at the other end.

usage: wire.py NAMESPACE-A DEVICE-A NAMESPACE-B DEVICE-B
stdin:  u32 count, u32 bytes that follow, then per frame u8 side (0 = a, 1 = b), u16 length, bytes; little endian. Repeated until end of file.
stdout: per frame one byte: DSCP, or 255 = it did not arrive.

A frame is recognised by its number within the batch: IPv4 identification, or IPv6 flow label. One thread on one CPU
sends everything, so that the kernel sees the frames in the order given.
"""

import ctypes
import os
import socket
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
BURST = 512
libc = ctypes.CDLL(None, use_errno=True)


def enter(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        if libc.setns(handle, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns " + path)
    finally:
        os.close(handle)


def tap(namespace, device, protocol):
    enter("/run/netns/" + namespace)
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    one.bind((device, protocol))
    one.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    one.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 64 << 20)
    one.setblocking(False)
    return one


def collect(taps, marks, wanted, patience):
    """Reads until `wanted` frames have come or nothing came for `patience` seconds; returns how many came."""
    got = 0
    deadline = time.monotonic() + patience
    while got < wanted:
        before = got
        for one in taps:
            while True:
                try:
                    frame = one.recv(2048)
                except BlockingIOError:
                    break
                if frame[0] & 1 or len(frame) < 34:
                    continue
                if frame[12:14] == b"\x08\x00":
                    number, mark = frame[18] << 8 | frame[19], frame[15] >> 2
                else:
                    number = (frame[15] & 15) << 16 | frame[16] << 8 | frame[17]
                    mark = ((frame[14] & 15) << 4 | frame[15] >> 4) >> 2
                if number < len(marks) and marks[number] == 255:
                    marks[number] = mark
                    got += 1
        now = time.monotonic()
        if got > before:
            deadline = now + patience
        elif now > deadline:
            break
    return got


def main():
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    ends = [sys.argv[1:3], sys.argv[3:5]]
    taps = [[tap(name, device, protocol) for protocol in (0x0800, 0x86DD)] for name, device in ends]
    libc.setns(home, CLONE_NEWNET)
    every = taps[0] + taps[1]
    try:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    except OSError:
        pass
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        head = source.read(4)
        if len(head) < 4:
            return
        (count,) = struct.unpack("<I", head)
        (size,) = struct.unpack("<I", source.read(4))
        blob = source.read(size)
        marks = bytearray(b"\xff" * count)
        at = 0
        waiting = 0
        for number in range(count):
            side, length = struct.unpack_from("<BH", blob, at)
            frame = blob[at + 3 : at + 3 + length]
            at += 3 + length
            while True:
                try:
                    taps[side][0].send(frame)
                    break
                except (BlockingIOError, OSError) as error:
                    if not isinstance(error, BlockingIOError) and error.errno != 105:
                        raise
                    time.sleep(0.001)
            waiting += 1
            if waiting == BURST:
                collect(every, marks, waiting, 0.25)
                waiting = 0
        collect(every, marks, waiting, 0.4)
        sink.write(marks)
        sink.flush()


main()
