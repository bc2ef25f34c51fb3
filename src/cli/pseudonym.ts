/**
 * `--redact`: pseudonyms that stay the same for the same input. They come from a keyed hash whose key is the content of the
 * manifests: whoever has only the report cannot try names or addresses against it.
 */
import { createHash, createHmac } from 'node:crypto';
import type { NameKind, Redact } from '../report/name.ts';

/** Label keys that Kubernetes itself owns: they name nothing of the user's. */
const PUBLIC_VALUES = new Set(['kubernetes.io/metadata.name']);

/** What a pseudonym begins with, where it is not the kind itself. */
const PREFIXES: Partial<Record<NameKind, string>> = { namespace: 'ns', address: 'addr', domain: 'domain' };

/** Pseudonyms such as `pod-3fa2c1`; one value has the same digits whatever it names. */
export function createRedact(contents: readonly string[]): Redact {
  const seed = createHash('sha256');
  for (const content of contents) seed.update(`${content.length}:`).update(content);
  const key = seed.digest();
  const digitsOf = new Map<string, string>();
  const taken = new Set<string>();
  return (kind, value) => {
    if (PUBLIC_VALUES.has(value)) return value;
    let digits = digitsOf.get(value);
    if (digits === undefined) {
      const hash = createHmac('sha256', key).update(value).digest('hex');
      let length = 6;
      while (taken.has(hash.slice(0, length)) && length < hash.length) length++;
      digits = hash.slice(0, length);
      digitsOf.set(value, digits);
      taken.add(digits);
    }
    const ending = kind === 'file' ? (/\.[a-z0-9]{1,8}$/i.exec(value)?.[0] ?? '') : '';
    return `${PREFIXES[kind] ?? kind}-${digits}${ending}`;
  };
}
