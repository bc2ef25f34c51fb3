#!/usr/bin/env python3
"""Records one small conversation with several tools at once: `sudo ./record.py [DIRECTORY]` (default: a new temporary folder).

Two pods and the node between them as Linux network namespaces; a client speaks TCP, UDP and ICMP with a server while tcpdump (twice:
packets and text), conntrack, nfpcapd and ulogd watch on the node. Needs Linux, root, iproute2, nftables, tcpdump, conntrack,
nfdump, ulogd2 and Python 3 (Debian: packages of these names; ulogd2-json for the JSON log, left out where it is missing).

Everything happens in fresh network, mount and process namespaces without a way out, which end with the first process in them.
"""

import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

LIMIT_S = 60
INSIDE = "--inside"
A, B = ("10.244.1.5", "fd00:10:244:1::5"), ("10.244.1.6", "fd00:10:244:1::6")
GATEWAY = ("10.244.1.1", "fd00:10:244:1::1")
WEB, DNS = "10.96.0.10", "10.96.0.11"

# What the node does: Services as kube-proxy has them, one silent drop, and a line in the log for each new connection.
RULES = f"""
table inet node {{
  chain services {{
    type nat hook prerouting priority dstnat;
    ip daddr {WEB} tcp dport 80 dnat ip to {B[0]}:8080
    ip daddr {DNS} udp dport 53 dnat ip to {B[0]}:5353
  }}
  chain forward {{
    type filter hook forward priority filter;
    ct state new log prefix "new: " group 7
    tcp dport 9999 log prefix "drop: " group 7
    ct state new log prefix "new: " group 8
    tcp dport 9999 drop
  }}
}}
"""


def main():
    if len(sys.argv) == 4 and sys.argv[1] == INSIDE:
        return record(sys.argv[2], sys.argv[3])
    if os.geteuid() != 0:
        sys.exit("record.py needs root: it makes network namespaces")
    missing = [tool for tool in ("unshare", "ip", "nft", "tcpdump", "conntrack", "nfpcapd", "nfdump", "ulogd") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"record.py needs {', '.join(missing)}")
    out = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="several-tools-")
    os.makedirs(out, exist_ok=True)
    work = tempfile.mkdtemp(prefix="several-tools-work-")
    command = ["unshare", "--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"]
    child = subprocess.Popen([*command, sys.executable, os.path.abspath(__file__), INSIDE, out, work], preexec_fn=die_with_parent)
    try:
        return child.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        print(f"not finished after {LIMIT_S} s", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)


def die_with_parent():
    """Asks the kernel for SIGKILL when the parent ends, however it ends (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def record(out, work):
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("out of time"))
    signal.alarm(LIMIT_S)
    os.environ["TZ"] = "UTC"
    socket.sethostname("worker-1")
    run("mount -t tmpfs tmpfs /run")
    os.makedirs("/run/netns")
    build()
    server = start("b", sys.executable, os.path.abspath(__file__), "--serve")
    time.sleep(1.0)
    watchers = watch(out, work)
    time.sleep(1.5)
    subprocess.run(["ip", "netns", "exec", "a", sys.executable, os.path.abspath(__file__), "--ask"], check=True, timeout=40)
    time.sleep(1.0)
    for watcher in watchers:
        if watcher.poll() is not None:
            raise RuntimeError(f"{watcher.args} ended early")
        watcher.send_signal(signal.SIGINT)
    for watcher in watchers:
        watcher.wait(10)
    server.kill()
    export(out, work)
    print(f"recorded into {out}: {', '.join(sorted(os.listdir(out)))}")
    return 0


def build():
    for name in ("node", "a", "b"):
        run(f"ip netns add {name}")
        inside(name, "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
        run(f"ip -n {name} link set lo up")
    inside("node", "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.send_redirects=0")
    inside("node", "sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1")
    for name, (v4, v6) in (("a", A), ("b", B)):
        run(f"ip -n node link add v{name} type veth peer name eth0 netns {name}")
        for address, gateway, bits, flag in ((v4, GATEWAY[0], 32, ""), (v6, GATEWAY[1], 128, " nodad")):
            run(f"ip -n node addr add {gateway}/{bits} dev v{name}{flag}")
            run(f"ip -n {name} addr add {address}/{bits} dev eth0{flag}")
        run(f"ip -n node link set v{name} up")
        run(f"ip -n {name} link set eth0 up")
        for family, address, gateway in ((4, v4, GATEWAY[0]), (6, v6, GATEWAY[1])):
            run(f"ip -{family} -n {name} route add {gateway} dev eth0")
            run(f"ip -{family} -n {name} route add default via {gateway}")
            run(f"ip -{family} -n node route add {address} dev v{name}")
    subprocess.run(["ip", "netns", "exec", "node", "nft", "-f", "-"], input=RULES.encode(), check=True, timeout=20)


def watch(out, work):
    """Every tool at once, all in the node's namespace."""
    text = open(f"{out}/tcpdump.txt", "w")
    events = open(f"{out}/conntrack.txt", "w")
    quiet = subprocess.DEVNULL
    with open(f"{work}/ulogd.conf", "w") as config:
        config.write(
            f"[global]\nlogfile=\"{work}/ulogd.txt\"\nloglevel=5\n"
            + "".join(f'plugin="{plugin}"\n' for plugin in plugins("inppkt_NFLOG", "raw2packet_BASE", "filter_IFINDEX", "filter_IP2STR", "filter_PRINTPKT", "output_LOGEMU", "output_JSON"))
            + "stack=log:NFLOG,base:BASE,ifi:IFINDEX,ip2str:IP2STR,print:PRINTPKT,emu:LOGEMU\n"
            + ("stack=log2:NFLOG,base:BASE,ifi:IFINDEX,ip2str:IP2STR,json:JSON\n" if plugins("output_JSON") else "")
            + "[log]\ngroup=7\n[log2]\ngroup=8\n"
            + f'[emu]\nfile="{out}/ulogd.log"\nsync=1\n[json]\nfile="{out}/ulogd.json"\nsync=1\n'
        )
    os.makedirs(f"{work}/flows", exist_ok=True)
    os.chmod(work, 0o755)
    common = ["tcpdump", "-i", "any", "-s", "128", "-U", "--immediate-mode", "-Z", "root", "ip or ip6"]
    return [
        start("node", *common, "-w", f"{out}/capture.pcap", stderr=quiet),
        start("node", *common, "-nn", "-tttt", "-l", stdout=text, stderr=quiet),
        start("node", "conntrack", "-E", "-o", "timestamp,extended,id", stdout=events, stderr=quiet),
        start("node", "nfpcapd", "-i", "va", "-l", f"{work}/flows", "-t", "3600", "-e", "30,30", stdout=quiet, stderr=quiet),
        start("node", "ulogd", "-c", f"{work}/ulogd.conf", stderr=quiet),
    ]


def plugins(*names):
    """Paths of the ulogd plug-ins of these names that are installed."""
    found = []
    for root, _, files in os.walk("/usr/lib"):
        found += [f"{root}/{file}" for file in files if file.startswith("ulogd_") and file.endswith(".so")]
    return [path for name in names for path in found if os.path.basename(path) == f"ulogd_{name}.so"]


def export(out, work):
    """nfpcapd's binary file in the spellings of nfdump."""
    files = [os.path.join(root, file) for root, _, names in os.walk(f"{work}/flows") for file in names if file.startswith("nfcapd.")]
    if len(files) != 1:
        raise RuntimeError(f"expected one file of nfpcapd, found {files}")
    for spelling, name in (("csv", "nfdump.csv"), ("json", "nfdump.json")):
        with open(f"{out}/{name}", "w") as text:
            subprocess.run(["nfdump", "-r", files[0], "-o", spelling], stdout=text, check=True, timeout=20)


def serve():
    """The server's pod: HTTP on 8080 in both families, something like DNS on UDP 5353."""

    def http(listener):
        while True:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello\n")
            connection.close()

    listener = socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=http, args=(listener,), daemon=True).start()
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("0.0.0.0", 5353))
    while True:
        query, client = names.recvfrom(1000)
        names.sendto(query[:2] + b"\x81\x80" + query[4:], client)


def ask():
    """The client's pod, one act after another."""
    fetch(B[0], 8080)
    fetch(WEB, 80)
    question(DNS, 53)
    echo(B[0], 4242)
    refused(B[0], 7777)
    closed(B[0], 4444)
    fetch(B[1], 8080)
    silent(B[0], 9999)


def fetch(host, port):
    with socket.create_connection((host, port), 5) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        while connection.recv(1000):
            pass


def question(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        name = b"\x03web\x04demo\x03svc\x07cluster\x05local\x00"
        client.sendto(struct.pack(">6H", 0x1234, 0x0100, 1, 0, 0, 0) + name + struct.pack(">2H", 1, 1), (host, port))
        client.recv(1000)


def echo(host, identifier):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as client:
        client.settimeout(5)
        packet = struct.pack(">BBHHH", 8, 0, 0, identifier, 1) + bytes(16)
        total = sum(struct.unpack(f">{len(packet) // 2}H", packet))
        total = (total & 0xFFFF) + (total >> 16)
        client.sendto(packet[:2] + struct.pack(">H", ~total & 0xFFFF) + packet[4:], (host, 0))
        client.recv(1000)


def refused(host, port):
    with socket.socket() as client:
        client.settimeout(5)
        if client.connect_ex((host, port)) == 0:
            raise RuntimeError("expected a refusal")


def closed(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", (host, port))
        time.sleep(0.2)


def silent(host, port):
    """Two openings that nobody answers."""
    with socket.socket() as client:
        client.settimeout(1.6)
        try:
            client.connect((host, port))
        except TimeoutError:
            return
        raise RuntimeError("expected silence")


def start(name, *command, stdout=None, stderr=None):
    return subprocess.Popen(["ip", "netns", "exec", name, *command], stdout=stdout, stderr=stderr)


def run(command):
    subprocess.run(command.split(), check=True, timeout=20)


def inside(name, command):
    run(f"ip netns exec {name} {command}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    elif sys.argv[1:] == ["--ask"]:
        ask()
    else:
        sys.exit(main())
