/** The words of dropcast's own text formats for the closed sets of the model; NDJSON and CSV share them. */
import { RecordedVerdict, TcpFlag } from '../model/flow.ts';

/** Indexed by `RecordKind`. */
export const KIND_WORDS: readonly string[] = ['packet', 'flow', 'conn', 'decision', 'aggregate'];
/** Indexed by `Orientation`. */
export const ORIENTATION_WORDS: readonly string[] = ['original', 'reply', 'unknown'];
/** Indexed by `OrientedBy`. */
export const ORIENTED_BY_WORDS: readonly string[] = ['stated', 'flags', 'paired', 'ports', 'assumed'];
/** Indexed by `RecordedVerdict`. */
export const VERDICT_WORDS: readonly string[] = [
  'none',
  'allow',
  'deny',
  'drop',
  'audit',
  'error',
  'firewall-allow',
  'firewall-deny',
];

/** Bit order of `TcpFlag`, as tcpdump abbreviates them, then the two of RFC 3168. */
const FLAG_LETTERS = 'FSRPAUEW';

/** The member of a set by its word, or -1. */
export function indexOfWord(words: readonly string[], word: string): number {
  return words.indexOf(word.toLowerCase());
}

/** `SA` for SYN+ACK, the empty text for no flag; undefined where the record has none. */
export function formatTcpFlags(flags: number): string | undefined {
  if (flags === TcpFlag.Absent) return undefined;
  let text = '';
  for (let bit = 0; bit < FLAG_LETTERS.length; bit++) if ((flags & (1 << bit)) !== 0) text += FLAG_LETTERS[bit];
  return text;
}

/** Reads letters in any order and case, or a number; -1 where the text is neither. */
export function parseTcpFlags(text: string): number {
  if (text.charCodeAt(0) >= 48 && text.charCodeAt(0) <= 57) {
    const number = Number(text);
    return Number.isInteger(number) && number >= 0 && number < 512 ? number : -1;
  }
  let flags = 0;
  for (const letter of text.toUpperCase()) {
    if (letter === '.' || letter === '-') continue;
    const bit = FLAG_LETTERS.indexOf(letter);
    if (bit < 0) return -1;
    flags |= 1 << bit;
  }
  return flags;
}

/** What other sources call the recorded verdict; undefined where the word is not known. */
export function parseVerdict(text: string): RecordedVerdict | undefined {
  switch (text.toLowerCase()) {
    case '':
    case '-':
    case 'none':
      return RecordedVerdict.None;
    case 'allow':
    case 'allowed':
    case 'accept':
    case 'accepted':
    case 'forwarded':
    case 'redirected':
    case 'pass':
    case 'permit':
      return RecordedVerdict.Allow;
    case 'deny':
    case 'denied':
    case 'reject':
    case 'rejected':
      return RecordedVerdict.Deny;
    case 'drop':
    case 'dropped':
      return RecordedVerdict.Drop;
    case 'audit':
      return RecordedVerdict.Audit;
    case 'error':
      return RecordedVerdict.Error;
    case 'firewall-allow':
      return RecordedVerdict.FirewallAllow;
    case 'firewall-deny':
      return RecordedVerdict.FirewallDeny;
    default:
      return undefined;
  }
}
