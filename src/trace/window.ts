/**
 * A window of time over a trace: which records count. Bounds are times, or durations from an end of the trace itself: a recording has no
 * "now", its last record stands for it.
 */
import { type FlowBatch, keepRows } from '../model/flow.ts';
import { parseTime } from './time.ts';

/** One bound as it was given. */
export interface Bound {
  readonly from: 'time' | 'start' | 'end';
  /** Microseconds since 1970, after the first or before the last record. */
  readonly us: number;
}

/** Records of `fromUs` to `toUs`, both included, count; those without a time always do. */
export interface TimeWindow {
  readonly fromUs: number;
  readonly toUs: number;
}

const UNITS: Readonly<Record<string, number>> = { ms: 1e3, s: 1e6, m: 60e6, h: 3600e6, d: 86_400e6 };

/**
 * Reads `2026-11-21T01:55:07Z`, `15m` (before the last record; also `1h30m`, `90s`, `500ms`, `2d`), `end-15m` or `start+15m`; undefined where
 * it is nothing of these.
 */
export function parseBound(text: string): Bound | undefined {
  const time = parseTime(text);
  if (!Number.isNaN(time)) return { from: 'time', us: time };
  for (const [prefix, from] of [
    ['start+', 'start'],
    ['end-', 'end'],
    ['', 'end'],
  ] as const) {
    if (!text.startsWith(prefix)) continue;
    const us = parseDuration(text.slice(prefix.length));
    return us === undefined ? undefined : { from, us };
  }
  return undefined;
}

/** The window between two bounds of a trace whose records are of `firstUs` to `lastUs`. */
export function resolveWindow(
  since: Bound | undefined,
  until: Bound | undefined,
  { firstUs, lastUs }: { readonly firstUs: number; readonly lastUs: number },
): TimeWindow {
  const resolve = ({ from, us }: Bound): number =>
    from === 'time' ? us : from === 'start' ? firstUs + us : lastUs - us;
  return {
    fromUs: since === undefined ? -Infinity : resolve(since),
    toUs: until === undefined ? Infinity : resolve(until),
  };
}

/** Moves the rows of `[0, count)` that count to the front, in their order; returns how many there are. */
export function keepWindow(batch: FlowBatch, count: number, { fromUs, toUs }: TimeWindow): number {
  const { timeUs } = batch;
  return keepRows(batch, 0, count, (row) => !(timeUs[row]! < fromUs || timeUs[row]! > toUs));
}

function parseDuration(text: string): number | undefined {
  let us = 0;
  let at = 0;
  while (at < text.length) {
    const start = at;
    while (at < text.length && text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57) at++;
    if (at === start || at - start > 9) return undefined;
    const number = Number(text.slice(start, at));
    const unit = ['ms', 's', 'm', 'h', 'd'].find((one) => text.startsWith(one, at));
    if (unit === undefined) return undefined;
    at += unit.length;
    us += number * UNITS[unit]!;
  }
  return text === '' ? undefined : us;
}
