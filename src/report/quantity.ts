/** Numbers and times as people read them, the same in every report: no locale, no time zone but UTC. */

/** `1,234,567`. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** A count with its noun: `1 connection`, `2,000 connections`. */
export function formatCounted(count: number, singular: string, plural = `${singular}s`): string {
  return `${formatCount(count)} ${count === 1 ? singular : plural}`;
}

/** Decimal units, three digits at most: `512 B`, `12.3 kB`, `4.0 GB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${Math.max(0, Math.round(bytes))} B`;
  let value = bytes;
  for (const unit of ['kB', 'MB', 'GB', 'TB', 'PB']) {
    value /= 1000;
    if (value < 999.5) return `${value < 99.95 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
  }
  return `${formatCount(Math.round(value))} PB`;
}

/** One decimal, and never `100.0 %` or `0.0 %` for what is not all or nothing. */
export function formatPercent(part: number, whole: number): string {
  if (whole === 0) return '-';
  const percent = (100 * part) / whole;
  if (part > 0 && percent < 0.05) return '<0.1 %';
  if (part < whole && percent >= 99.95) return '>99.9 %';
  return `${percent.toFixed(1)} %`;
}

/** RFC 3339 in UTC with microseconds, or undefined where the time is not known or not in the calendar. */
export function formatTime(timeUs: number): string | undefined {
  const date = dateOf(timeUs);
  if (date === undefined) return undefined;
  const micros = Math.floor(timeUs) - date.getTime() * 1000;
  return date.toISOString().replace('Z', `${String(micros).padStart(3, '0')}Z`);
}

/** First and last time, as short as the two allow: `10:00:03 to 10:02:59` within the day that `context` covers. */
export function formatSpan(firstUs: number, lastUs: number, context?: readonly [number, number]): string {
  const first = dateOf(firstUs)?.toISOString();
  const last = dateOf(lastUs)?.toISOString();
  if (first === undefined || last === undefined) return 'time unknown';
  const day = first.slice(0, 10);
  const isOneDay = day === last.slice(0, 10);
  const hasContext =
    context !== undefined && context.every((time) => dateOf(time)?.toISOString().slice(0, 10) === day) && isOneDay;
  const from = hasContext ? first.slice(11, 19) : `${day} ${first.slice(11, 19)}`;
  const to = isOneDay ? last.slice(11, 19) : `${last.slice(0, 10)} ${last.slice(11, 19)}`;
  return first.slice(0, 19) === last.slice(0, 19) ? from : `${from} to ${to}`;
}

/** `250 ms`, `3.2 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`. */
export function formatDuration(micros: number): string {
  const seconds = micros / 1e6;
  if (seconds < 1) return `${Math.round(micros / 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.round(seconds / 3600);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function dateOf(timeUs: number): Date | undefined {
  const date = new Date(Math.floor(timeUs / 1000));
  const year = date.getUTCFullYear();
  return Number.isNaN(year) || year < 0 || year > 9999 ? undefined : date;
}
