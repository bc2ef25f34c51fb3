"""Who lives where: the pods, Services and outside hosts of the recorded application.

record.py builds the network from these tables, tier.py serves the names, traffic.py finds its targets here; cluster.yaml says
the same to dropcast. Private and documentation ranges only (RFC 1918, 4193, 5737, 3849).
"""

DOMAIN = "app1-ns.svc.cluster.local"

# Link name in the node's namespace -> (role of the server that runs there, IPv4, IPv6).
PODS = {
    "dns-a": ("dns", "10.244.1.2", "fd00:10:244:1::2"),
    "dns-b": ("dns", "10.244.1.3", "fd00:10:244:1::3"),
    "front-a": ("frontend", "10.244.1.11", "fd00:10:244:1::11"),
    "front-b": ("frontend", "10.244.1.12", "fd00:10:244:1::12"),
    "back-a": ("backend", "10.244.1.21", "fd00:10:244:1::21"),
    "back-b": ("backend", "10.244.1.22", "fd00:10:244:1::22"),
    "db-0": ("db", "10.244.1.31", "fd00:10:244:1::31"),
}

GATEWAY = ("10.244.1.1", "fd00:10:244:1::1")
NODE = ("172.18.0.3", "fd00:172:18::3")
UPLINK = ("172.18.0.1", "fd00:172:18::1")
POD_CIDRS = ("10.244.1.0/24", "fd00:10:244:1::/64")

# Service -> (IPv4, IPv6, role of its pods, [(protocol, port)]).
SERVICES = {
    "kube-dns": ("10.96.0.10", "fd00:10:96::a", "dns", [("udp", 53), ("tcp", 53)]),
    "frontend-svc": ("10.96.94.172", "fd00:10:96::5eac", "frontend", [("tcp", 80)]),
    "backend-svc": ("10.96.102.224", "fd00:10:96::66e0", "backend", [("tcp", 5678)]),
}
NODE_PORT = 31000

USERS = ("203.0.113.9", "203.0.113.10", "203.0.113.77")
USERS_V6 = ("2001:db8:113::9", "2001:db8:113::77")
RESOLVER = ("198.51.100.53", "2001:db8:51::53")
METRICS = ("198.51.100.20", "2001:db8:51::20")


def pods_of(role):
    """The (name, IPv4, IPv6) of every pod of a role."""
    return [(name, v4, v6) for name, (pod_role, v4, v6) in PODS.items() if pod_role == role]


def zone():
    """Absolute name -> ([A records], [AAAA records])."""
    names = {f"{name}.{DOMAIN}": ([v4], [v6]) for name, (v4, v6, _, _) in SERVICES.items() if name != "kube-dns"}
    database = pods_of("db")
    names[f"db-svc.{DOMAIN}"] = ([v4 for _, v4, _ in database], [v6 for _, _, v6 in database])
    names[f"db-sts-0.db-svc.{DOMAIN}"] = names[f"db-svc.{DOMAIN}"]
    return names
