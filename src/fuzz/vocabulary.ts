/**
 * What random worlds are made of: few names and numbers, so that labels overlap and are missing, port names mean different numbers,
 * and blocks nest and repeat.
 */
import type { Cidr } from '../model/cidr.ts';
import type { Position } from '../model/policy.ts';
import type { PortProtocol } from '../model/port.ts';

/** Namespaces that a world may have; policies name those that it does not have as well. */
export const NAMESPACES: readonly string[] = ['a', 'b', 'c'];

/** Where pods and policies live: most meet in one namespace. */
export const HOMES: readonly string[] = ['a', 'a', 'a', 'b', 'c'];

/** Keys of labels, on every kind of object. */
export const KEYS: readonly string[] = ['app', 'tier'];

/** Values of labels; one of them is common. */
export const VALUES: readonly string[] = ['x', 'x', 'y', ''];

/** Names of ports, of containers and of Services. */
export const PORT_NAMES: readonly string[] = ['http', 'dns'];

/** Numbers that those names may mean; two are neighbours. */
export const PORT_NUMBERS: readonly number[] = [53, 80, 81, 8080];

/** Protocols that have ports. */
export const PROTOCOLS: readonly PortProtocol[] = ['TCP', 'UDP', 'SCTP'];

/** Blocks in groups, those of a group from wide to narrow: what a policy excepts lies in what it takes. */
export const CIDRS: readonly (readonly Cidr[])[] = [
  ['0.0.0.0/0', '10.0.0.0/8', '10.0.0.0/24', '10.0.0.0/30', '10.0.0.2/32', '10.0.0.3/32'],
  ['::/0', 'fd00::/16', 'fd00::/126', 'fd00::2/128', 'fd00::8000:0:0:0/65'],
  ['192.168.0.0/24', '192.168.0.1/32', '203.0.113.0/24', '203.0.113.64/26', '203.0.113.64/27'],
].map((group) => group.map((text) => text as Cidr));

/** The position of an object that no file holds; lines tell objects apart. */
export function positionAt(line: number): Position {
  return { file: 'world', line, column: 1 };
}

/** A copy without the keys whose value is undefined. */
export function dropUndefined<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}
