/** Address arithmetic of the oracle, by ip-num: a reading of CIDRs that is independent of the engine's and of the readers'. */
import { IPv4, IPv4CidrRange, IPv6, IPv6CidrRange } from 'ip-num';
import { type AddressText, familyOf } from '../model/address.ts';
import type { Cidr } from '../model/cidr.ts';

/** Whether a block holds an address; never across families. */
export function contains(cidr: Cidr, address: AddressText): boolean {
  const isV6 = cidr.includes(':');
  if (isV6 !== (familyOf(address) === 6)) return false; // NP-22
  const block = isV6 ? IPv6CidrRange.fromCidr(cidr) : IPv4CidrRange.fromCidr(cidr);
  const value = (isV6 ? new IPv6(address) : new IPv4(address)).getValue();
  return block.getFirst().getValue() <= value && value <= block.getLast().getValue();
}
