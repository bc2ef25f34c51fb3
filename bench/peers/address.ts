/** What one would reach for to ask whether an address is in a set of CIDRs: node's BlockList, ipaddr.js, ip-num, and BigInt for IPv6. */
import { BlockList, SocketAddress } from 'node:net';
import { formatAddress, formatIpv4 } from '../../src/model/address.ts';
import { readColumn } from '../limit/column.ts';
import { HASH_START, hashWords, type Job, type OpenJob } from '../limit/job.ts';

/** `BlockList.check` on addresses that were made before. */
export const openBlockList: OpenJob = (folder, { sample }) => {
  const blocks = new BlockList();
  for (const { address, length } of readPrefixes(folder)) blocks.addSubnet(address, length, 'ipv4');
  const sockets = readAddresses(folder, sample).map((address) => new SocketAddress({ address }));
  return membershipJob(sockets, (socket) => blocks.check(socket));
};

/** ipaddr.js, everything parsed before. */
export const openIpaddr: OpenJob = async (folder, { sample }) => {
  const { default: ipaddr } = await import('ipaddr.js');
  const blocks = readPrefixes(folder).map(({ address, length }) => [ipaddr.IPv4.parse(address), length] as const);
  const addresses = readAddresses(folder, sample).map((address) => ipaddr.IPv4.parse(address));
  return membershipJob(addresses, (address) => blocks.some(([base, length]) => address.match(base, length)));
};

/** ip-num, everything parsed before. */
export const openIpNum: OpenJob = async (folder, { sample }) => {
  const { IPv4, IPv4CidrRange, IPv4Mask, IPv4Prefix, RangedSet } = await import('ip-num');
  void [IPv4Mask];
  const blocks = readPrefixes(folder).map(({ address, length }) =>
    RangedSet.fromCidrRange(new IPv4CidrRange(new IPv4(address), new IPv4Prefix(BigInt(length)))),
  );
  const addresses = readAddresses(folder, sample).map((address) => RangedSet.fromSingleIP(new IPv4(address)));
  return membershipJob(addresses, (address) => blocks.some((block) => block.contains(address)));
};

/** Sorted BigInt starts and a binary search; the addresses are BigInt before the clock starts. */
export const openBigInt6: OpenJob = (folder) => {
  const starts = readKeys6(folder, 'starts6.u32');
  const values = readColumn(folder, 'values6.u32');
  const addresses = readKeys6(folder, 'addresses6.u32');
  const out = new Uint32Array(addresses.length);
  return {
    count: addresses.length,
    run: () => {
      for (let row = 0; row < addresses.length; row++) {
        const address = addresses[row]!;
        let low = 0;
        let high = starts.length;
        while (high - low > 1) {
          const middle = (low + high) >> 1;
          if (starts[middle]! <= address) low = middle;
          else high = middle;
        }
        out[row] = values[low]!;
      }
    },
    digest: () => hashWords(HASH_START, out, out.length),
    first: () =>
      hashWords(
        HASH_START,
        Uint8Array.from(out, (value) => Number(value !== 0)),
        out.length,
      ),
  };
};

/** `BlockList.check` on IPv6. */
export const openBlockList6: OpenJob = (folder, { sample }) => {
  const blocks = new BlockList();
  const prefixes = readColumn(folder, 'prefixes6.u32');
  for (let at = 0; at < prefixes.length; at += 5)
    blocks.addSubnet(formatAddress(6, prefixes.subarray(at, at + 4)), prefixes[at + 4]!, 'ipv6');
  const words = readColumn(folder, 'addresses6.u32');
  const sockets = Array.from(
    { length: Math.min(sample, words.length / 4) },
    (_, row) => new SocketAddress({ address: formatAddress(6, words.subarray(row * 4, row * 4 + 4)), family: 'ipv6' }),
  );
  return membershipJob(sockets, (socket) => blocks.check(socket));
};

function membershipJob<Address>(addresses: readonly Address[], contains: (address: Address) => boolean): Job {
  const out = new Uint8Array(addresses.length);
  return {
    count: addresses.length,
    run: () => {
      for (let row = 0; row < addresses.length; row++) out[row] = Number(contains(addresses[row]!));
    },
    first: () => hashWords(HASH_START, out, out.length),
  };
}

function readPrefixes(folder: string): { address: string; length: number }[] {
  const words = readColumn(folder, 'prefixes.u32');
  return Array.from({ length: words.length / 2 }, (_, index) => ({
    address: formatIpv4(words[2 * index]!),
    length: words[2 * index + 1]!,
  }));
}

function readAddresses(folder: string, sample: number): string[] {
  return [...readColumn(folder, 'addresses.u32').subarray(0, sample)].map((word) => formatIpv4(word));
}

function readKeys6(folder: string, name: 'starts6.u32' | 'addresses6.u32'): bigint[] {
  const words = readColumn(folder, name);
  return Array.from(
    { length: words.length / 4 },
    (_, row) =>
      (BigInt(words[4 * row]!) << 96n) |
      (BigInt(words[4 * row + 1]!) << 64n) |
      (BigInt(words[4 * row + 2]!) << 32n) |
      BigInt(words[4 * row + 3]!),
  );
}
