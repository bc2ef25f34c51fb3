/**
 * Accounting of one input: every record that was read is used, skipped for a reason, or malformed for a reason. `read` is
 * counted where records are cut from the bytes, the others where their fate is decided, so that the sum is a check.
 */
import type { Diagnostic } from '../model/diagnostic.ts';

/** The account of one file or stream. */
export interface TraceAccount {
  /** Path as given, or `-`. */
  readonly file: string;
  /** Name of the format, such as `pcapng`; `unknown` until recognised. */
  format: string;
  /** Containers around it, outermost first, such as `gzip`. */
  containers: string[];
  /** Bytes taken from the source, before decompression. */
  bytes: number;
  /** Records cut from the input. */
  read: number;
  /** Rows handed out in batches. */
  used: number;
  /** Understood, and not an observation to judge: reason -> count. */
  readonly skipped: Map<string, number>;
  /** Not understood: reason -> count. */
  readonly malformed: Map<string, number>;
  /** The first malformed records, at most `MALFORMED_SHOWN`, with line and offset. */
  readonly diagnostics: Diagnostic[];
  /** Records that the source itself says it lost (Hubble `lost_events`, pcapng `isb_ifdrop`). */
  lost: number;
  /** First and last time of a used record, microseconds; NaN where none. */
  firstUs: number;
  lastUs: number;
  /** Values of closed sets that the reader does not know: `field=value` -> count. */
  readonly unknownValues: Map<string, number>;
  /** What this source cannot show, in sentences. */
  readonly limits: string[];
}

/** How many malformed records are kept with their excerpt. */
export const MALFORMED_SHOWN = 20;

/** An empty account. */
export function createAccount(file: string): TraceAccount {
  return {
    file,
    format: 'unknown',
    containers: [],
    bytes: 0,
    read: 0,
    used: 0,
    skipped: new Map(),
    malformed: new Map(),
    diagnostics: [],
    lost: 0,
    firstUs: NaN,
    lastUs: NaN,
    unknownValues: new Map(),
    limits: [],
  };
}

/** Adds `count` to an entry of a counter. */
export function increment(counter: Map<string, number>, key: string, count = 1): void {
  counter.set(key, (counter.get(key) ?? 0) + count);
}

/** The sum of a counter. */
export function total(counter: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const count of counter.values()) sum += count;
  return sum;
}

/** True where read = used + skipped + malformed. */
export function isBalanced(account: TraceAccount): boolean {
  return account.read === account.used + total(account.skipped) + total(account.malformed);
}

/** Where the records of an account come from, where that is not the file itself: a member of an archive, lines behind wrappers. */
export interface Origin {
  /** Name within an archive. */
  readonly member?: string;
  /** The line of the file for a line that the reader counts; absent: the same. */
  readonly lineOf?: (line: number) => number;
}

/** Beside the accounts, which are plain data and travel between threads. */
const origins = new WeakMap<TraceAccount, Origin>();

/** Says where the records that are read from now on come from. */
export function setOrigin(account: TraceAccount, origin: Origin): void {
  origins.set(account, origin);
}

/** Where the records come from that are being read. */
export function originOf(account: TraceAccount): Origin | undefined {
  return origins.get(account);
}

/** Field -> what this input calls it, as far as a reader learnt it from the input or its mapping. */
const sources = new WeakMap<TraceAccount, Map<string, string>>();

/** Says where a field of the rows comes from. */
export function noteSource(account: TraceAccount, field: string, source: string): void {
  const known = sources.get(account) ?? new Map<string, string>();
  known.set(field, source);
  sources.set(account, known);
}

/** What `noteSource` was told. */
export function sourcesOf(account: TraceAccount): ReadonlyMap<string, string> | undefined {
  return sources.get(account);
}

/**
 * Counts one malformed record and keeps the first ones as diagnostics. `place` says where: the 1-based line or packet number
 * and the byte offset after decompression. The excerpt is cut to 120 characters; whoever prints it escapes it.
 */
export function addMalformed(
  account: TraceAccount,
  reason: string,
  place: { readonly unit: 'line' | 'packet' | 'record'; readonly number: number; readonly offset: number },
  detail: string,
  excerpt?: string,
): void {
  const lineOf = place.unit === 'line' ? originOf(account)?.lineOf : undefined;
  const number = lineOf?.(place.number) ?? place.number;
  // Offsets are those of unwrapped lines, which are no place in the file.
  const offset = lineOf === undefined ? `, byte ${place.offset}` : '';
  addMalformedAt(account, reason, `${place.unit} ${number}${offset}: ${detail}`, {
    ...(place.unit === 'line' ? { line: number } : {}),
    ...(excerpt === undefined ? {} : { excerpt }),
  });
}

/** The same with a message that says the place, and a line of the file. */
export function addMalformedAt(
  account: TraceAccount,
  reason: string,
  message: string,
  { line, excerpt }: { readonly line?: number; readonly excerpt?: string },
): void {
  increment(account.malformed, reason);
  if (total(account.malformed) > MALFORMED_SHOWN) return;
  const member = originOf(account)?.member;
  account.diagnostics.push({
    severity: 'warning',
    code: reason === 'truncated' ? 'truncated-input' : 'malformed-record',
    message: member === undefined ? message : `${member}: ${message}`,
    file: account.file,
    ...(line === undefined ? {} : { line }),
    ...(excerpt === undefined ? {} : { excerpt: excerpt.slice(0, 120) }),
  });
}

/** Counts a value of a closed set that the reader does not know; a hostile input cannot make the table grow without end. */
export function addUnknownValue(account: TraceAccount, field: string, value: unknown): void {
  const key = `${field}=${String(value).slice(0, 60)}`;
  const { unknownValues } = account;
  if (unknownValues.has(key) || unknownValues.size < 100) increment(unknownValues, key);
  else increment(unknownValues, `${field}=(other)`);
}
