/**
 * What an ICMP or ICMPv6 type is to connection tracking: one half of a query pair, an error that quotes a packet, or
 * neither (net/netfilter/nf_conntrack_proto_icmp.c and nf_conntrack_proto_icmpv6.c).
 */

/** Roles; `Query` and `Reply` types form pairs. */
export const enum IcmpRole {
  /** Neither of the others: INVALID as a packet of its own. */
  Other = 0,
  Query = 1,
  Reply = 2,
  Error = 3,
  /** Redirects: an error where the quote was read, otherwise like `Other`. */
  Redirect = 4,
  /** Neighbour discovery and multicast listener messages: never tracked. */
  Untracked = 5,
}

/** `IcmpRole` by type, IPv4 at 0, IPv6 at 256. */
export const ICMP_ROLES: Uint8Array = new Uint8Array(512);
/** The type of the query that a reply type answers (a query answers for itself), same index. */
export const ICMP_QUERY: Uint8Array = new Uint8Array(512);

// CT-40: echo, timestamp, information, address mask. CT-45: echo, node information.
addPair(8, 0);
addPair(13, 14);
addPair(15, 16);
addPair(17, 18);
addPair(256 + 128, 129);
addPair(256 + 139, 140);
// CT-43: unreachable, source quench, time exceeded, parameter problem. CT-46: every IPv6 type below 128.
for (const type of [3, 4, 11, 12]) ICMP_ROLES[type] = IcmpRole.Error;
ICMP_ROLES.fill(IcmpRole.Error, 256, 256 + 128);
ICMP_ROLES[5] = IcmpRole.Redirect;
ICMP_ROLES[256 + 137] = IcmpRole.Redirect;
// CT-47
for (const type of [130, 131, 132, 133, 134, 135, 136, 143]) ICMP_ROLES[256 + type] = IcmpRole.Untracked;

/** Index of both tables: the type that stands in type << 8 | code, by family. */
export function icmpKind(family: number, icmp: number): number {
  return (family === 6 ? 256 : 0) + (icmp >>> 8);
}

function addPair(query: number, reply: number): void {
  ICMP_ROLES[query] = IcmpRole.Query;
  ICMP_QUERY[query] = query & 0xff;
  ICMP_ROLES[(query & 256) + reply] = IcmpRole.Reply;
  ICMP_QUERY[(query & 256) + reply] = query & 0xff;
}
