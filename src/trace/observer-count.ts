/**
 * Two ends count the same connections, each for itself and summed under names: which of a record's connections are new?
 * For each key (ends, protocol, port) the connections are as many as the end that saw most of them counted, so that neither
 * the order of the records nor the windows of the ends matter. The end that reports a key first is its owner: its bytes count.
 */

/** Keys remembered; what is forgotten is counted twice rather than lost. */
const KEYS = 262_144;

interface Count {
  readonly owner: string;
  /** Observer -> its connections. */
  readonly sums: Map<string, number>;
  /** Observers and verdicts that have been seen. */
  readonly seen: Set<string>;
  greatest: number;
}

/** What `add` says of a record. */
export interface Counted {
  /** Connections that no record has counted before. */
  readonly fresh: number;
  /** The others of the record: its observer is not the first one to count them. */
  readonly repeated: number;
  readonly isOwner: boolean;
}

/** Sums of connections by key and observer. */
export class ObserverCounts {
  private readonly counts = new Map<string, Count>();

  /**
   * Takes in a record of `observer`. `existed` are the connections of its window, which count where the observer says this
   * `verdict` of the key for the first time; afterwards only those that `started` in the window are new.
   */
  add(key: string, observer: string, verdict: string, existed: number, started: number): Counted {
    let count = this.counts.get(key);
    if (count === undefined) {
      count = { owner: observer, sums: new Map(), seen: new Set(), greatest: 0 };
      this.counts.set(key, count);
      if (this.counts.size > KEYS) this.counts.delete(this.counts.keys().next().value!);
    }
    const said = `${observer} ${verdict}`;
    const connections = count.seen.has(said) ? started : existed;
    count.seen.add(said);
    const sum = (count.sums.get(observer) ?? 0) + connections;
    count.sums.set(observer, sum);
    const fresh = Math.max(0, sum - count.greatest);
    count.greatest += fresh;
    return { fresh, repeated: connections - fresh, isOwner: count.owner === observer };
  }
}
