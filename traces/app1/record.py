#!/usr/bin/env python3
"""Records capture.pcap anew: `sudo ./record.py [DIRECTORY]` (default: a folder of its own under the system's temporary one).

Builds a node, seven pods and the world outside as Linux network namespaces, runs the tiers' servers in them, lets clients loose and
captures on every interface of the node. Needs Linux, root, iproute2, nftables, tcpdump and Python 3;
with conntrack-tools it also keeps the kernel's own list of new connections.

Nothing reaches the machine: everything happens in fresh network, mount and process namespaces, linked to each other alone and without
a route out. They end with the first process in them, so a failure, a signal or a kill -9 leaves nothing behind. No step waits
without a limit.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import topology  # noqa: E402 (after the line that keeps it from leaving a cache here)

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_S = 120
INSIDE = "--inside"


def main():
    if len(sys.argv) == 3 and sys.argv[1] == INSIDE:
        return record(sys.argv[2])
    if os.geteuid() != 0:
        sys.exit("record.py needs root: it makes network namespaces")
    missing = [tool for tool in ("unshare", "ip", "nft", "tcpdump") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"record.py needs {', '.join(missing)} (Debian: util-linux, iproute2, nftables, tcpdump)")
    out = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="app1-")
    os.makedirs(out, exist_ok=True)
    return isolate(out)


def isolate(out):
    """Runs this file again as process 1 of new namespaces; whatever ends this process ends them."""
    command = ["unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
    command += [sys.executable, os.path.abspath(__file__), INSIDE, out]
    child = subprocess.Popen(command, preexec_fn=die_with_parent)

    def stop(number, _):
        child.kill()
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        return child.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        print(f"not finished after {LIMIT_S} s", file=sys.stderr)
        return 1


def die_with_parent():
    """Asks the kernel for SIGKILL when the parent ends, however it ends (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def record(out):
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("out of time"))
    signal.alarm(LIMIT_S)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    run("mount -t tmpfs tmpfs /run")
    os.makedirs("/run/netns")
    build()
    start("outside", sys.executable, f"{HERE}/tier.py", "outside", "outside")
    for role, port in (("db", 3306), ("dns", 53), ("backend", 5678), ("frontend", 80)):
        for name, v4, _ in topology.pods_of(role):
            start(name, sys.executable, f"{HERE}/tier.py", role, name)
            wait_for(v4, port)
    time.sleep(1.0)
    watchers = capture(out)
    time.sleep(0.5)
    act()
    time.sleep(0.7)
    for watcher in watchers:
        if watcher.poll() is not None:
            raise RuntimeError("the capture ended early")
        watcher.send_signal(signal.SIGINT)
        watcher.wait(10)
    print(f"recorded into {out}: {', '.join(sorted(os.listdir(out)))}")
    return 0


def build():
    """The node in the middle, a link for each pod, one to the world outside; no link leads elsewhere."""
    for name in ("node", "outside", *topology.PODS):
        run(f"ip netns add {name}")
        inside(name, "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
        run(f"ip -n {name} link set lo up")
    inside("node", "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.send_redirects=0")

    for name, (_, v4, v6) in topology.PODS.items():
        run(f"ip -n node link add {name} type veth peer name eth0 netns {name}")
        for family, address, gateway, bits in ((4, v4, topology.GATEWAY[0], 32), (6, v6, topology.GATEWAY[1], 128)):
            run(f"ip -n node addr add {gateway}/{bits} dev {name}{' nodad' if family == 6 else ''}")
            run(f"ip -n {name} addr add {address}/{bits} dev eth0{' nodad' if family == 6 else ''}")
        run(f"ip -n node link set {name} up")
        run(f"ip -n {name} link set eth0 up")
        for family, address, gateway in ((4, v4, topology.GATEWAY[0]), (6, v6, topology.GATEWAY[1])):
            run(f"ip -{family} -n {name} route add {gateway} dev eth0 src {address}")
            run(f"ip -{family} -n {name} route add default via {gateway} src {address}")

    run("ip -n node link add uplink type veth peer name eth0 netns outside")
    for address, peer, bits in zip(topology.NODE, topology.UPLINK, (24, 64)):
        run(f"ip -n node addr add {address}/{bits} dev uplink{' nodad' if ':' in address else ''}")
        run(f"ip -n outside addr add {peer}/{bits} dev eth0{' nodad' if ':' in address else ''}")
    for address in (*topology.USERS, *topology.USERS_V6, *topology.RESOLVER, *topology.METRICS):
        run(f"ip -n outside addr add {address}/{128 if ':' in address else 32} dev lo")
    run("ip -n node link set uplink up")
    run("ip -n outside link set eth0 up")
    users = (topology.USERS[0], topology.USERS_V6[0])
    for family, peer, node, pods, user in zip((4, 6), topology.UPLINK, topology.NODE, topology.POD_CIDRS, users):
        run(f"ip -{family} -n node route add default via {peer} src {node}")
        run(f"ip -{family} -n outside route add {pods} via {node} src {user}")
    for name, (_, v4, v6) in topology.PODS.items():
        run(f"ip -4 -n node route add {v4} dev {name} src {topology.NODE[0]}")
        run(f"ip -6 -n node route add {v6} dev {name} src {topology.NODE[1]}")
    nft("node", service_rules())


def service_rules():
    """kube-proxy's part: every Service address is translated to its pods in turn; the node's port keeps the client's address."""
    rules = []

    def translate(match, protocol, port, role, to_port):
        for family, column in (("ip", 1), ("ip6", 2)):
            pods = [pod[column] for pod in topology.pods_of(role)]
            turns = ", ".join(f"{turn} : {address}" for turn, address in enumerate(pods))
            target = f"dnat {family} to numgen inc mod {len(pods)} map {{ {turns} }}"
            where = match(family, column - 1)
            if where:
                rules.append(f"{where} {protocol} dport {port} {target}{'' if port == to_port else f' : {to_port}'}")

    for v4, v6, role, ports in topology.SERVICES.values():
        for protocol, port in ports:
            translate(lambda family, index: f"{family} daddr {(v4, v6)[index]}", protocol, port, role, port)
    translate(lambda family, index: f"{family} daddr {topology.NODE[index]}", "tcp", topology.NODE_PORT, "frontend", 80)
    return chain("services", "type nat hook prerouting priority dstnat", rules)


def capture(out):
    """tcpdump on every interface of the node, and the kernel's list of new connections where the tool is there."""
    path = f"{out}/capture.pcap"
    # 128 bytes hold the SLL2 header, every network and transport header, and what an ICMP error quotes.
    dump = start("node", "tcpdump", "-i", "any", "-n", "-s", "128", "-U", "--immediate-mode", "-Z", "root", "-w", path)
    watchers = [dump]
    if shutil.which("conntrack"):
        log = open(f"{out}/conntrack-new.txt", "w")
        watchers.append(start("node", "conntrack", "-E", "-e", "NEW", "-o", "timestamp", stdout=log))
    deadline = time.monotonic() + 10
    while not (os.path.exists(path) and os.path.getsize(path) >= 24):
        if time.monotonic() > deadline or dump.poll() is not None:
            raise RuntimeError("tcpdump did not start")
        time.sleep(0.05)
    return watchers


def act():
    """The script of the recording; README.md says what each act is there for."""
    back = topology.SERVICES["backend-svc"]
    front = topology.SERVICES["frontend-svc"]
    dns = topology.SERVICES["kube-dns"]
    db = topology.PODS["db-0"]
    fqdn = f"backend-svc.{topology.DOMAIN}"

    # A little loss on the way: the node drops some data packets and some openings, which their senders repeat.
    to_server = "ct direction original tcp dport { 80, 5678, 3306 } tcp flags & (psh | ack) == (psh | ack)"
    loss = [f"{to_server} numgen inc mod 53 == 19 drop", "tcp flags & (syn | ack) == syn numgen inc mod 89 == 31 drop"]
    nft("node", chain("loss", "type filter hook forward priority filter", loss))
    probe = start("node", sys.executable, f"{HERE}/traffic.py", "probe")
    do("outside", "browse")
    probe.wait(30)

    do("front-a", "call", topology.PODS["back-a"][1], "5678", "5")
    do("front-b", "call", topology.PODS["back-b"][1], "5678", "5")
    do("front-b", "call", topology.PODS["back-a"][2], "5678", "2")
    do("front-a", "call", back[0], "5678", "12", "/status")
    do("front-b", "call", back[1], "5678", "4", "/status")
    do("back-a", "select", db[1], "3")
    do("back-b", "select", db[2], "2")
    nft("node", "delete table inet loss")

    # What the policies mean to forbid, and what works all the same while none is applied.
    do("front-a", "select", db[1], "3")
    do("db-0", "call", back[0], "5678", "3", "/status")
    do("db-0", "call", topology.PODS["front-b"][1], "80", "1", "/")
    do("db-0", "names", dns[0], "4", fqdn)
    do("back-a", "call", front[0], "80", "3", "/")
    do("back-b", "call", front[1], "80", "1", "/")
    do("outside", "call", topology.PODS["back-a"][1], "5678", "2", "/status")
    do("front-a", "names", dns[0], "6", fqdn, "example.com")
    do("back-b", "names", dns[1], "3", f"db-svc.{topology.DOMAIN}", "example.org")

    # Refused, unanswered, aborted.
    do("outside", "connect", topology.PODS["front-a"][1], "443", "443", "22")
    do("outside", "connect", topology.PODS["front-b"][2], "443")
    do("front-a", "abort", topology.PODS["back-b"][1], "5678")
    do("outside", "abort", topology.PODS["front-b"][1], "80")
    refuse = [f"ip saddr {topology.PODS['front-b'][1]} tcp dport 3306 drop"]
    nft("db-0", chain("closed", "type filter hook input priority filter", refuse))
    do("front-b", "connect", db[1], "3306", "3306")
    nft("db-0", "delete table inet closed")

    # ICMP: echo of both families, one in fragments, and errors about UDP.
    do("outside", "echo", topology.PODS["front-a"][1], "4101")
    do("outside", "echo", topology.PODS["front-b"][2], "4102")
    do("back-a", "echo", db[1], "4103")
    do("back-b", "echo", db[1], "4104", "2", "2600")
    do("node", "echo", topology.PODS["db-0"][1], "4105", "2")
    do("front-a", "datagram", topology.PODS["back-a"][1], "9999")
    do("front-b", "datagram", topology.PODS["back-b"][2], "9999")
    do("back-a", "datagram", db[1], "33434", "1")

    # One of the two DNS pods goes away: look-ups that were sent to it come back as ICMP errors through the Service.
    stop_server("dns-b")
    do("front-b", "names", dns[0], "6", fqdn)
    do("back-a", "names", dns[0], "4", f"db-svc.{topology.DOMAIN}")


servers = {}


def start(name, *command, stdout=None):
    """A process inside a namespace, which ends with process 1."""
    process = subprocess.Popen(["ip", "netns", "exec", name, *command], stdout=stdout)
    servers.setdefault(name, process)
    return process


def stop_server(name):
    """`ip netns exec` becomes the server itself, so its process is the server's."""
    servers[name].terminate()
    servers[name].wait(5)


def do(name, *arguments):
    print(f"{name}: {' '.join(arguments)}", flush=True)
    subprocess.run(
        ["ip", "netns", "exec", name, sys.executable, f"{HERE}/traffic.py", *arguments], check=True, timeout=60
    )


def wait_for(address, port):
    """Until a pod's server listens, asked from the node before the capture begins."""
    code = f"import socket; socket.create_connection(({address!r}, {port}), 1).close()"
    deadline = time.monotonic() + 15
    while subprocess.run(["ip", "netns", "exec", "node", sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError(f"nobody listens on {address} {port}")
        time.sleep(0.1)


def run(command):
    subprocess.run(command.split(), check=True, timeout=20)


def inside(name, command):
    run(f"ip netns exec {name} {command}")


def chain(table, hook, rules):
    """nft's text for a table with one chain."""
    lines = "\n".join(rules)
    return f"table inet {table} {{\n chain main {{\n {hook};\n{lines}\n }}\n}}\n"


def nft(name, text):
    subprocess.run(["ip", "netns", "exec", name, "nft", "-f", "-"], input=text.encode(), check=True, timeout=20)


if __name__ == "__main__":
    sys.exit(main())
