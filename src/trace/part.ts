/** Container runtimes cut long lines: here the parts become one line again, within the limit of a record. */
import { RECORD_SIZE_LIMIT } from './line.ts';
import type { Layer } from './wrapper.ts';

/** Lines that came in parts, per stream of a container. */
export class PartJoiner {
  private readonly layer: Layer;
  private readonly open = new Map<string, { parts: Uint8Array[]; size: number; line: number }>();

  constructor(layer: Layer) {
    this.layer = layer;
  }

  /** Adds a part; `end`: whether the line ends with it. */
  add(stream: string, bytes: Uint8Array, start: number, end: number, line: number, ending: 'last' | 'more'): void {
    const open = this.open.get(stream);
    if (ending === 'last' && open === undefined) {
      if (end > start) this.layer.writeText(bytes, start, end, line);
      return;
    }
    const held = open ?? { parts: [], size: 0, line };
    if (open === undefined) this.open.set(stream, held);
    held.size += end - start;
    if (held.size <= RECORD_SIZE_LIMIT) held.parts.push(bytes.slice(start, end));
    else held.parts = [];
    if (ending === 'last') this.flush(stream);
  }

  /** Lines whose last part never came are written as they are. */
  finish(): void {
    for (const stream of this.open.keys()) this.flush(stream);
  }

  private flush(stream: string): void {
    const held = this.open.get(stream)!;
    this.open.delete(stream);
    if (held.size > RECORD_SIZE_LIMIT)
      return this.layer.reject('too-long', held.line, `line longer than ${RECORD_SIZE_LIMIT} bytes`);
    const whole = Buffer.concat(held.parts);
    if (whole.length > 0) this.layer.writeText(whole, 0, whole.length, held.line);
  }
}
