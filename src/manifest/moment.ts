/**
 * Times of snapshots and watch events. Objects of Kubernetes do not say when they were read: a snapshot has its time in its name or its
 * first line, an event where a recorder wrote it down, else the latest time that the object itself states.
 */

/** An event of a watch, as far as its time goes. */
export interface TimedEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** When it was received: RFC 3339, or seconds since 1970. */
  readonly time?: unknown;
  readonly object: unknown;
}

/** RFC 3339, in microseconds since 1970; NaN where it is none. */
function parseMoment(text: unknown): number {
  if (typeof text !== 'string' || !/^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/.test(text))
    return NaN;
  return Date.parse(text.replace(' ', 'T')) * 1000;
}

/**
 * The time in the name of a file or folder: RFC 3339 anywhere in it, also with dashes, dots or nothing instead of colons, since names
 * may not hold those everywhere: `pods-2026-11-21T01-55-07Z.json`, `20261121T015507Z`. Without a zone it is UTC. NaN where there is none.
 */
export function momentInName(name: string): number {
  const found =
    /(?<!\d)(\d{4})-?(\d\d)-?(\d\d)[Tt_ ](\d\d)[:.-]?(\d\d)[:.-]?(\d\d)(?:[.,](\d{1,9}))?([Zz]|[+-]\d\d:?\d\d)?(?!\d)/.exec(
      name,
    );
  if (found === null) return NaN;
  const [, year, month, day, hour, minute, second, fraction, zone = 'Z'] = found;
  const offset = /^[+-]\d{4}$/.test(zone) ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone;
  return parseMoment(
    `${year}-${month}-${day}T${hour}:${minute}:${second}${fraction === undefined ? '' : `.${fraction}`}${offset}`,
  );
}

/** The time in a text's first line, `# time: 2026-11-21T01:55:07Z`; NaN where there is none. */
export function momentInText(text: string): number {
  const end = text.indexOf('\n');
  const line = (end < 0 ? text : text.slice(0, end)).slice(0, 200);
  const found = /^\uFEFF?#\s*time:\s*(\S+)\s*$/.exec(line);
  return found === null ? NaN : parseMoment(found[1]);
}

/**
 * When what an event tells became so. A pod that is added holds its address since it was started (status.startTime, else
 * metadata.creationTimestamp): the list that a watch begins with tells of old pods. Anything else became so when it was received or,
 * where nobody wrote that down, at the latest time that the object states.
 */
export function momentOfEvent({ type, time, object }: TimedEvent): number {
  const received = typeof time === 'number' ? Math.floor(time * 1e6) : parseMoment(time);
  if (type === 'ADDED') {
    const started = startOf(object);
    return Number.isNaN(started) || started > received ? received : started;
  }
  return Number.isNaN(received) ? latestIn(object, type) : received;
}

/** When a Pod object was started, or else created; NaN where it says neither. */
export function startOf(pod: unknown): number {
  const started = parseMoment(memberOf(memberOf(pod, 'status'), 'startTime'));
  return Number.isNaN(started) ? parseMoment(memberOf(memberOf(pod, 'metadata'), 'creationTimestamp')) : started;
}

/** The latest time of a Pod object: its start, conditions, containers and writers; of a deleted one also when it was due to go. */
function latestIn(pod: unknown, type: TimedEvent['type']): number {
  const metadata = memberOf(pod, 'metadata');
  const status = memberOf(pod, 'status');
  const times = [startOf(pod)];
  for (const writer of listOf(metadata, 'managedFields')) times.push(parseMoment(memberOf(writer, 'time')));
  for (const condition of listOf(status, 'conditions'))
    times.push(parseMoment(memberOf(condition, 'lastTransitionTime')));
  for (const container of listOf(status, 'containerStatuses')) {
    const state = memberOf(container, 'state');
    times.push(parseMoment(memberOf(memberOf(state, 'running'), 'startedAt')));
    times.push(parseMoment(memberOf(memberOf(state, 'terminated'), 'finishedAt')));
  }
  if (type === 'DELETED') times.push(parseMoment(memberOf(metadata, 'deletionTimestamp')));
  return times.reduce((latest, time) => (time > latest || Number.isNaN(latest) ? time : latest), NaN);
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

function listOf(value: unknown, name: string): readonly unknown[] {
  const list = memberOf(value, name);
  return Array.isArray(list) ? list : [];
}
