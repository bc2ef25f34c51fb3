/**
 * From the lines that a reader sees to the lines of the file, across layers that unwrap, join and split lines. Kept as runs of
 * equal steps, and only for the latest lines: a reader asks about what it was handed last.
 */

/** Runs that are kept: more than any reader holds back rows. */
const RUN_LIMIT = 1 << 17;

/** One layer's lines: which line of its input a line of its output began on. Both count from 1. */
export class LineMap {
  private inner = new Float64Array(64);
  private outer = new Float64Array(64);
  private step = new Float64Array(64);
  private count = 0;
  private lastInner = 0;

  /** The next line of the output begins on line `outer` of the input. */
  add(outer: number): void {
    const inner = ++this.lastInner;
    const run = this.count - 1;
    if (run >= 0) {
      const steps = inner - this.inner[run]!;
      if (steps === 1) this.step[run] = outer - this.outer[run]!;
      if (outer === this.outer[run]! + steps * this.step[run]!) return;
    }
    if (this.count === this.inner.length) this.makeRoom();
    this.inner[this.count] = inner;
    this.outer[this.count] = outer;
    this.step[this.count] = 0;
    this.count++;
  }

  /** The line of the input that line `inner` of the output began on. */
  lineOf(inner: number): number {
    let low = 0;
    let high = this.count - 1;
    if (high < 0) return inner;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.inner[middle]! <= inner) low = middle;
      else high = middle - 1;
    }
    return this.outer[low]! + Math.max(0, inner - this.inner[low]!) * this.step[low]!;
  }

  private makeRoom(): void {
    if (this.count < RUN_LIMIT) {
      this.inner = grow(this.inner);
      this.outer = grow(this.outer);
      this.step = grow(this.step);
      return;
    }
    const half = this.count >> 1;
    for (const column of [this.inner, this.outer, this.step]) column.copyWithin(0, half, this.count);
    this.count -= half;
  }
}

function grow(column: Float64Array): Float64Array<ArrayBuffer> {
  const grown = new Float64Array(column.length * 2);
  grown.set(column);
  return grown;
}
