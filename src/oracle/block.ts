/** Address arithmetic of the oracle, by ip-num: a reading of CIDRs that is independent of the engine's and of the readers'. */
import { IPv4, IPv6 } from 'ip-num';
import { type AddressText, familyOf } from '../model/address.ts';
import type { Cidr } from '../model/cidr.ts';

/** Whether a block holds an address; never across families. */
export function contains(cidr: Cidr, address: AddressText): boolean {
  const isV6 = cidr.includes(':');
  if (isV6 !== (familyOf(address) === 6)) return false; // NP-22
  const [network, length] = cidr.split('/') as [string, string];
  const [first, value] = [network, address].map((text) => (isV6 ? new IPv6(text) : new IPv4(text)).getValue());
  const hostBits = BigInt((isV6 ? 128 : 32) - Number(length));
  return value! >> hostBits === first! >> hostBits;
}
