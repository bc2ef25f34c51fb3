/** What a benchmark's row is: data that is prepared once, contenders that each run in fresh processes, and goals over their figures. */
import type { Environment } from '../environment.ts';
import type { Clock, JobResult } from './job.ts';

/** Prepared data; the key names its folder, so that equal data is made once. */
export interface Data {
  readonly key: string;
  readonly prepare: (folder: string) => void | Promise<void>;
}

/** One side of a row. */
export interface Contender {
  /** Within its row: `plain`, `wasm`, `C`, ... */
  readonly name: string;
  readonly data: Data;
  /** Passes of a process; the first half warms up. */
  readonly passes: number;
  /** Elements that slow contenders are held to. */
  readonly sample: number;
  readonly values: Readonly<Record<string, number>>;
  readonly clock: Clock;
  /** How its process is started. */
  readonly start:
    /** `process`: it needs the bundle of a process of its own, also in tests. */
    | { readonly kind: 'job'; readonly job: string; readonly needs?: 'process' }
    | { readonly kind: 'c'; readonly source: string; readonly options: readonly string[] }
    | { readonly kind: 'go'; readonly binary: string }
    | { readonly kind: 'command'; readonly run: (folder: string) => Promise<JobResult> };
  /** Does not take part where this gives a reason. */
  readonly absent?: () => string | undefined;
}

/** What one process of a contender gave: elements a second, and seconds of the fastest pass. */
export interface Measured {
  readonly rate: number;
  readonly seconds: number;
  readonly bytes: number | undefined;
}

/** Looks a contender's figure of one round up; undefined where it did not take part. */
export type Look = (contender: string) => Measured | undefined;

/** A figure that is asked of every round, and what it must reach. */
export interface Goal {
  /** What the figure is, with its unit: `x C`, `MiB`, `s`. */
  readonly text: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly figure: (look: Look) => number | undefined;
  /** What a reference reaches of it in the same rounds: how far the machine itself lets the goal be reached. */
  readonly ceiling?: { readonly who: string; readonly figure: (look: Look) => number | undefined };
}

/** One row of the table. */
export interface Row {
  readonly name: string;
  readonly title: string;
  readonly contenders: readonly Contender[];
  /** Those without a bound are shown, not judged. */
  readonly goals: readonly Goal[];
  /** What a reader must know about the figures. */
  readonly note?: string;
}

/** A goal's outcome over all rounds; without figures where none came out. */
export interface StoredOutcome {
  readonly text: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly median?: number;
  readonly low?: number;
  readonly high?: number;
  readonly state: 'reached' | 'missed' | 'not measured' | 'shown';
  /** The median of what a reference reached. */
  readonly ceiling?: { readonly who: string; readonly median: number };
}

/** A row's outcome, as it is kept in bench/out/limit.json. */
export interface StoredRow {
  readonly name: string;
  readonly title: string;
  readonly note?: string;
  readonly outcomes: readonly StoredOutcome[];
  /** Median rate, and seconds of a pass, of each contender that took part. */
  readonly rates: readonly {
    readonly name: string;
    readonly rate: number;
    readonly seconds: number;
    readonly bytes?: number;
  }[];
  /** Why contenders are missing, or whose results differ. */
  readonly problems: readonly string[];
  readonly isRight: boolean;
  readonly environment: Environment;
  readonly isQuick: boolean;
}
