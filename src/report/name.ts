/**
 * The one gate for names, labels and addresses on their way into a report. Sentences are built from parts that each pass
 * it, so that escaping and redaction cannot forget one.
 */
import { canonicalAddress } from '../model/address.ts';
import { parseCidr } from '../model/cidr.ts';
import { escapeControl } from './escape.ts';

/** What a value names; a pseudonym may begin with it. */
export type NameKind =
  | 'namespace'
  | 'workload'
  | 'pod'
  | 'node'
  | 'service'
  | 'policy'
  | 'address'
  | 'cidr'
  | 'label'
  | 'port'
  | 'domain'
  | 'file'
  | 'value';

/** The pseudonym of a value. Must give the same value the same pseudonym for as long as a run lasts. */
export type Redact = (kind: NameKind, value: string) => string;

/** Names as one report shows them. */
export interface Names {
  readonly mode: 'plain' | 'redacted';
  /** One name, label key, label value, address or path. */
  show(kind: NameKind, value: string): string;
  /** A sentence that another room wrote. Redacted: every known name and every address in it becomes its pseudonym. */
  sentence(text: string): string;
}

/** Names for people: control characters escaped. */
export function createTextNames(redact?: Redact): Names {
  return createNames(redact, escapeControl);
}

/** Names for machines: as they are, the format's own quoting follows. */
export function createDataNames(redact?: Redact): Names {
  return createNames(redact, (text) => text);
}

function createNames(redact: Redact | undefined, finish: (text: string) => string): Names {
  if (redact === undefined) {
    return { mode: 'plain', show: (_kind, value) => finish(value), sentence: finish };
  }
  const known = new Map<string, NameKind>();
  return {
    mode: 'redacted',
    show(kind, value) {
      if (value === '') return '';
      known.set(value, kind);
      return finish(redact(kind, value));
    },
    sentence(text) {
      return finish(splitWords(text).map(redactWord).join(''));
    },
  };

  function redactWord(word: string): string {
    const kind = known.get(word);
    if (kind !== undefined) return redact!(kind, word);
    if (canonicalAddress(word) !== undefined) return redact!('address', word);
    if (parseCidr(word) !== undefined) return redact!('cidr', word);
    for (const separator of '/:.') {
      const at = word.lastIndexOf(separator);
      if (at > 0) return redactWord(word.slice(0, at)) + separator + redactWord(word.slice(at + 1));
    }
    return word;
  }
}

/** Words and what lies between them, in turn; joined they are the text again. */
function splitWords(text: string): string[] {
  return text.split(/([\s,;="'`()[\]{}<>]+)/);
}
