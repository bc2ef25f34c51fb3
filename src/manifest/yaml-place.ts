/**
 * Where the nodes of quickly read YAML stand: five integers a node, in the order of the text, so that positions cost next to
 * nothing until somebody asks. Children follow their parent, and each node knows where its successor begins. Filled by
 * yaml-block.ts, asked by the documents of yaml-document.ts.
 */
import type { Path, Span } from './source.ts';

const WIDTH = 5;
const START = 2;
const END = 3;
const NEXT = 4;

/** The nodes of every document of one text. Ids are offsets into the table; a key of -1 means "no key" (root, list item). */
export class PlaceTable {
  private cells: Int32Array = new Int32Array(1 << 12);
  private used = 0;
  /** Ids of the items of lists that were walked: a `kind: List` is asked for each of its objects. */
  private readonly items = new Map<number, readonly number[]>();

  /** The id that the next node gets; `rewind` to it forgets everything added since. */
  get mark(): number {
    return this.used;
  }

  rewind(mark: number): void {
    this.used = mark;
  }

  /** Adds a node; of a collection, the nodes added until its `close` are inside. */
  add(keyStart: number, keyEnd: number, start: number, end: number): number {
    const id = this.used;
    if (id + WIDTH > this.cells.length) this.grow();
    const { cells } = this;
    cells[id] = keyStart;
    cells[id + 1] = keyEnd;
    cells[id + START] = start;
    cells[id + END] = end;
    cells[id + NEXT] = id + WIDTH;
    this.used = id + WIDTH;
    return id;
  }

  close(id: number, end: number): void {
    this.cells[id + END] = end;
    this.cells[id + NEXT] = this.used;
  }

  /**
   * Where `path` stands below the node `root`, as far as it leads. `nameOf` gives the name of the key at a span, as the reader took
   * it. An empty value has no place of its own: its key is what people look for.
   */
  locate(root: number, path: Path, part: 'key' | 'value', nameOf: (start: number, end: number) => string): Span {
    const { cells } = this;
    let node = root;
    let isKey = false;
    for (let depth = 0; depth < path.length; depth++) {
      const name = path[depth]!;
      const child = typeof name === 'number' ? this.item(node, name) : this.member(node, name, nameOf);
      if (child === undefined) break;
      node = child;
      isKey = part === 'key' && depth === path.length - 1 && typeof name === 'string';
    }
    const start = cells[node + START]!;
    const end = cells[node + END]!;
    if (cells[node]! >= 0 && (isKey || end <= start)) return { start: cells[node]!, end: cells[node + 1]! };
    return { start, end };
  }

  private item(list: number, index: number): number | undefined {
    let ids = this.items.get(list);
    if (ids === undefined) {
      const { cells } = this;
      const found: number[] = [];
      // Members have keys, items have none: a mapping has no items.
      for (let id = list + WIDTH; id < cells[list + NEXT]!; id = cells[id + NEXT]!) if (cells[id]! < 0) found.push(id);
      ids = found;
      if (ids.length > LONGEST_WALK) this.items.set(list, ids);
    }
    return ids[index];
  }

  private member(map: number, name: string, nameOf: (start: number, end: number) => string): number | undefined {
    const { cells } = this;
    for (let id = map + WIDTH; id < cells[map + NEXT]!; id = cells[id + NEXT]!)
      if (cells[id]! >= 0 && nameOf(cells[id]!, cells[id + 1]!) === name) return id;
    return undefined;
  }

  private grow(): void {
    const cells = new Int32Array(this.cells.length * 2);
    cells.set(this.cells);
    this.cells = cells;
  }
}

/** Shorter lists are walked again each time. */
const LONGEST_WALK = 8;
