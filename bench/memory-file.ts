/** Bytes in memory, read as the command line reads a file. */
import type { DirectFile } from '../src/trace/format.ts';

/** A file of these bytes, from its beginning. */
export function memoryFile(bytes: Uint8Array): DirectFile {
  let at = 0;
  return {
    get left() {
      return bytes.length - at;
    },
    read(place) {
      const size = Math.min(place.length, bytes.length - at);
      place.set(bytes.subarray(at, at + size));
      at += size;
      return size;
    },
    skip(size) {
      at += size;
    },
    turn: () => Promise.resolve(true),
  };
}
