/** Partition refinement: elements stay together until a set tells them apart. Exact, no hashing. */
import { grow } from './list.ts';

/** Elements 0..n-1 in classes. */
export class Partition {
  /** [elements] the answer at any time. */
  readonly classOf: Int32Array;
  count = 0;
  private sizes: Int32Array;
  /** [classes] members hit by the set at hand, then the class that they move to; -1: they stay. */
  private hits: Int32Array;
  private touched: Int32Array = new Int32Array(1);

  /** Begins with the classes given: `initial[element]`, numbered 0.. without gaps. */
  constructor(initial: Int32Array) {
    this.classOf = Int32Array.from(initial);
    for (const id of initial) this.count = Math.max(this.count, id + 1);
    this.sizes = new Int32Array(this.count);
    this.hits = new Int32Array(this.count);
    for (const id of initial) this.sizes[id]!++;
  }

  /** Would `refine` split a class? */
  cuts(words: Int32Array, start: number, end: number): boolean {
    const counts = new Map<number, number>();
    for (let at = start; at < end; at++) {
      const id = this.classOf[words[at]!]!;
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    for (const [id, hit] of counts) if (hit !== this.sizes[id]) return true;
    return false;
  }

  /** Splits every class that the distinct elements `words[start, end)` cut. Takes time by their number. */
  refine(words: Int32Array, start: number, end: number): void {
    const { classOf } = this;
    let touchedCount = 0;
    for (let at = start; at < end; at++) {
      const id = classOf[words[at]!]!;
      if (this.hits[id]!++ > 0) continue;
      this.touched = grow(this.touched, touchedCount + 1);
      this.touched[touchedCount++] = id;
    }
    for (let at = 0; at < touchedCount; at++) {
      const id = this.touched[at]!;
      const hit = this.hits[id]!;
      if (hit === this.sizes[id]) {
        this.hits[id] = -1;
        continue;
      }
      this.sizes = grow(this.sizes, this.count + 1);
      this.hits = grow(this.hits, this.count + 1);
      this.sizes[id]! -= hit;
      this.sizes[this.count] = hit;
      this.hits[id] = this.count++;
    }
    const { hits, touched } = this;
    for (let at = start; at < end; at++) {
      const moved = hits[classOf[words[at]!]!]!;
      if (moved > 0) classOf[words[at]!] = moved;
    }
    for (let at = 0; at < touchedCount; at++) hits[touched[at]!] = 0;
  }
}
