/**
 * The last rows of one input, for questions that most traces never ask: what was seen of a connection, where a client ended up. Rows are
 * logged as columns, which costs next to nothing; whoever wants a table of them makes it when it is first needed, and keeps it from then on.
 */
import type { FlowBatch } from '../model/flow.ts';

/** The columns that are kept. */
export type LoggedRows = Pick<
  FlowBatch,
  | 'family'
  | 'protocol'
  | 'src'
  | 'dst'
  | 'srcPort'
  | 'dstPort'
  | 'srcEndpoint'
  | 'dstEndpoint'
  | 'orientation'
  | 'timeUs'
>;

/** Rows of a log that nobody has asked about. */
const LOG_ROWS = 1 << 16;

/** A ring of rows; `reader` makes who is told of them. */
export class RowLog {
  /** Rows that were logged so far. */
  count = 0;
  private readonly rows: LoggedRows = {
    family: new Uint8Array(LOG_ROWS),
    protocol: new Uint8Array(LOG_ROWS),
    src: new Uint32Array(LOG_ROWS),
    dst: new Uint32Array(LOG_ROWS),
    srcPort: new Int32Array(LOG_ROWS),
    dstPort: new Int32Array(LOG_ROWS),
    srcEndpoint: new Uint32Array(LOG_ROWS),
    dstEndpoint: new Uint32Array(LOG_ROWS),
    orientation: new Uint8Array(LOG_ROWS),
    timeUs: new Float64Array(LOG_ROWS),
  };
  private readonly columns = Object.entries(this.rows) as [keyof LoggedRows, Uint8Array][];
  private readonly readers: LogReader[] = [];

  /** Tells `take` of every row in order, at the latest when `catchUp` is called; of those before the first call, of the last ones. */
  reader(take: (rows: LoggedRows, at: number) => void): LogReader {
    const reader = new LogReader(this, this.rows, take);
    this.readers.push(reader);
    return reader;
  }

  /** Logs rows `[from, to)` of a batch. */
  append(batch: LoggedRows, from: number, to: number): void {
    for (let row = from; row < to;) {
      const at = this.count % LOG_ROWS;
      const size = Math.min(to - row, LOG_ROWS - at);
      for (const reader of this.readers) reader.makeRoom(this.count + size - LOG_ROWS);
      for (const [name, column] of this.columns) column.set(batch[name].subarray(row, row + size), at);
      this.count += size;
      row += size;
    }
  }
}

/** Who is told of logged rows. */
export class LogReader {
  /** The first row that it was not told of. */
  private next = 0;
  private isAwake = false;
  private readonly log: RowLog;
  private readonly rows: LoggedRows;
  private readonly take: (rows: LoggedRows, at: number) => void;

  constructor(log: RowLog, rows: LoggedRows, take: (rows: LoggedRows, at: number) => void) {
    this.log = log;
    this.rows = rows;
    this.take = take;
  }

  /** Tells of all rows that are logged. */
  catchUp(): void {
    this.isAwake = true;
    const { count } = this.log;
    for (let row = Math.max(this.next, count - LOG_ROWS); row < count; row++) this.take(this.rows, row % LOG_ROWS);
    this.next = count;
  }

  /** Leaves out the rows that it was not told of. */
  skip(): void {
    this.next = this.log.count;
  }

  /** Rows before `first` are about to be written over. */
  makeRoom(first: number): void {
    if (this.isAwake && this.next < first) this.catchUp();
  }
}
