/**
 * ipBlocks in bits, for `match.ts` and `sentence.ts`: is an address in a block, and which peers of a rule, or rules of a policy, does it take to
 * tell how an endpoint fares. They may list thousands of blocks, of which an address is in a few: those are found by search, and one that it is
 * not in stands for all like it.
 */
import { type AddressText, type AddressWords, parseAddress } from '../model/address.ts';
import { type CidrBits, parseCidr } from '../model/cidr.ts';
import type { Peer, Rule } from '../model/policy.ts';

/** A peer that is a block. */
export type BlockPeer = Extract<Peer, { kind: 'ipBlock' }>;

/** An address in bits; `family` 0 where its text is none. */
export interface AddressBits {
  readonly text: AddressText;
  readonly family: number;
  readonly words: AddressWords;
}

/** A block and its exceptions in bits; undefined: a text that is none, and holds nothing. */
export interface BlockBits {
  readonly block: CidrBits | undefined;
  readonly holes: readonly (CidrBits | undefined)[];
}

/** The address that was asked about last: one is held against many blocks in turn. */
let lastAddress: AddressBits | undefined;

/** An address in bits. */
export function bitsOfAddress(text: AddressText): AddressBits {
  if (lastAddress?.text === text) return lastAddress;
  const words = new Uint32Array(4);
  return (lastAddress = { text, family: parseAddress(text, words), words });
}

const blocks = new WeakMap<BlockPeer, BlockBits>();

/** A block in bits, read once. */
export function bitsOfBlock(peer: BlockPeer): BlockBits {
  let bits = blocks.get(peer);
  if (bits === undefined)
    blocks.set(peer, (bits = { block: parseCidr(peer.cidr), holes: peer.except.map((cidr) => parseCidr(cidr)) }));
  return bits;
}

/** NP-20: by its first bits, in its own family alone. */
export function isIn({ family, words }: Pick<AddressBits, 'family' | 'words'>, block: CidrBits | undefined): boolean {
  if (block === undefined || block.family !== family) return false;
  const { first, length } = block;
  const whole = length >>> 5;
  for (let word = 0; word < whole; word++) if (words[word] !== first[word]) return false;
  const rest = length & 31;
  return rest === 0 || (words[whole]! ^ first[whole]!) >>> (32 - rest) === 0;
}

/** Lists up to so long are asked one by one. */
const SEARCHED = 16;

/**
 * The peers, in their order, that an endpoint with this address has to be held against: all but blocks that do not hold the address, of which
 * the first is asked. They fare alike, whatever keeps the endpoint from them, so that what the peers come to together (a match, missing facts,
 * the first of the nearest) is what these come to.
 */
export function peersToAsk(peers: readonly Peer[], address: AddressText | undefined): readonly Peer[] {
  return findAsked(
    peerSearches,
    peers,
    address,
    (peer) => (peer.kind === 'ipBlock' ? [peer] : undefined),
    () => '',
  );
}

/**
 * The rules of one policy and direction, in their order, that decide how it fares: of those that list nothing but blocks, and none that holds
 * the address, the first of each action and list of ports. A policy may have a rule for every block.
 */
export function rulesToAsk(rules: readonly Rule[], address: AddressText | undefined): readonly Rule[] {
  return findAsked(
    ruleSearches,
    rules,
    address,
    ({ peers }) => (peers !== undefined && peers.length > 0 && peers.every(isBlock) ? peers : undefined),
    ({ action, ports }) => JSON.stringify([action, ports]),
  );
}

/** Items that hold blocks, in search of those that an address is in. */
interface Search<Item> {
  /** The blocks in the order of their first addresses. */
  readonly sorted: readonly SortedBlock[];
  /** What no search leaves out, by index and themselves: items of more than blocks, and the first of each class. */
  readonly always: readonly number[];
  readonly asked: readonly Item[];
}

interface SortedBlock {
  readonly block: CidrBits;
  /** The item that it is of. */
  readonly index: number;
  /**
   * Place of the last block before this one that its first address is in; -1: none. Blocks are in each other or apart, so that whatever holds an
   * address is met on the way out from the last block that begins at it or before.
   */
  readonly around: number;
}

const peerSearches = new WeakMap<readonly Peer[], Search<Peer>>();
const ruleSearches = new WeakMap<readonly Rule[], Search<Rule>>();

/** The items that an address is in, and those that are always asked. `classOf` is the same for items that fare alike where it is in none of their blocks. */
function findAsked<Item>(
  searches: WeakMap<readonly Item[], Search<Item>>,
  items: readonly Item[],
  text: AddressText | undefined,
  blocksOf: (item: Item) => readonly BlockPeer[] | undefined,
  classOf: (item: Item) => string,
): readonly Item[] {
  if (items.length <= SEARCHED) return items;
  let search = searches.get(items);
  if (search === undefined) searches.set(items, (search = createSearch(items, blocksOf, classOf)));
  const { always, asked, sorted } = search;
  if (text === undefined || sorted.length === 0) return asked;
  const address = bitsOfAddress(text);
  const found: number[] = [];
  for (let at = lastUpTo(sorted, address); at >= 0; at = sorted[at]!.around)
    if (isIn(address, sorted[at]!.block)) found.push(sorted[at]!.index);
  if (found.length === 0) return asked;
  return [...new Set([...always, ...found])].sort((a, b) => a - b).map((index) => items[index]!);
}

function createSearch<Item>(
  items: readonly Item[],
  blocksOf: (item: Item) => readonly BlockPeer[] | undefined,
  classOf: (item: Item) => string,
): Search<Item> {
  const always: number[] = [];
  const found: { readonly block: CidrBits; readonly index: number }[] = [];
  const classes = new Set<string>();
  items.forEach((item, index) => {
    const own = blocksOf(item);
    const known = own && classOf(item);
    if (known === undefined || !classes.has(known)) always.push(index);
    if (known !== undefined) classes.add(known);
    for (const { cidr } of own ?? []) {
      const block = parseCidr(cidr);
      if (block !== undefined) found.push({ block, index });
    }
  });
  found.sort(({ block: a }, { block: b }) => compareStart(a, b.family, b.first));
  const sorted: SortedBlock[] = [];
  for (const { block, index } of found) {
    let around = sorted.length - 1;
    while (around >= 0 && !isIn({ family: block.family, words: block.first }, sorted[around]!.block))
      around = sorted[around]!.around;
    sorted.push({ block, index, around });
  }
  return { sorted, always, asked: always.map((index) => items[index]!) };
}

function isBlock(peer: Peer): peer is BlockPeer {
  return peer.kind === 'ipBlock';
}

/** The last block that begins at an address or before it; -1: none. */
function lastUpTo(sorted: readonly SortedBlock[], { family, words }: AddressBits): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareStart(sorted[middle]!.block, family, words) <= 0) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function compareStart(block: CidrBits, family: number, words: AddressWords): number {
  if (block.family !== family) return block.family - family;
  for (let word = 0; word < 4; word++)
    if (block.first[word] !== words[word]) return block.first[word]! < words[word]! ? -1 : 1;
  return 0;
}
