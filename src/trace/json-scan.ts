/**
 * Finds values in JSON of any size by where they stand, one byte at a time and without a tree: the elements of an array, the
 * pretty-printed objects of a file, the messages in an envelope. Holds no more than one value; what a value means is for whoever
 * takes it. Top-level arrays are transparent, and top-level values need nothing between them.
 */
import { RECORD_SIZE_LIMIT } from './line.ts';

/** Where values stand: members by name, `each` for all elements of an array, `at` for one of them. */
export interface ScanNode {
  /** Values that stand here are handed out under this name. */
  readonly take?: string;
  readonly keys?: Readonly<Record<string, ScanNode>>;
  readonly each?: ScanNode;
  readonly at?: readonly [index: number, node: ScanNode];
}

/** What the scan reports. Bytes are valid during the call only. */
export interface ScanEvents {
  /** A whole value (for a string with its quotes), and the line on which it begins. */
  value(name: string, bytes: Uint8Array, start: number, end: number, line: number): void;
  /** A top-level object ended on `line`; `count` values were taken out of it. */
  object(count: number, line: number): void;
  /** Bytes that are no JSON, or a value that is too long: what they cost is one record. */
  malformed(reason: string, detail: string, line: number): void;
}

/** Feeds chunks; `finish` says that there are no more. */
export interface JsonScan {
  push(chunk: Uint8Array): void;
  finish(): void;
  /** The document is broken in a way that makes the rest meaningless. */
  readonly isStopped: boolean;
}

const KEY_SIZE = 64;

/**
 * Scans for the values of `root`. `lines`: `one` where every line holds whole values, so that a broken one costs its line;
 * `any` where a value may span lines.
 */
export function createJsonScan(root: ScanNode, lines: 'one' | 'any', events: ScanEvents): JsonScan {
  const isLineWise = lines === 'one';
  /** The containers on the way to a value, as far as the path leads; `open` of them. */
  const nodes: (ScanNode | undefined)[] = [];
  const isArray: boolean[] = [];
  const index: number[] = [];
  let depth = 0;
  let line = 1;
  let isInString = false;
  let isEscape = false;
  let isKey = false;
  let expectsKey = false;
  let isGarbage = false;
  let isBroken = false;
  let taken = 0;
  const keyBytes = new Uint8Array(KEY_SIZE);
  let keySize = 0;
  let key = '';
  /** Depth outside of the value that is being taken, or -1. */
  let takeDepth = -1;
  let takeName = '';
  let takeLine = 0;
  let takeStart = -1;
  let isTooLong = false;
  let held = new Uint8Array(0);
  let heldSize = 0;
  const scan = { isStopped: false, push, finish };

  function push(chunk: Uint8Array): void {
    if (scan.isStopped) return;
    if (takeDepth >= 0) takeStart = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (byte === 10) line++;
      if (isGarbage) {
        // Where objects span lines, the next one may begin anywhere; else the rest of the line is lost.
        if (byte === 10 || (!isLineWise && byte === 123)) isGarbage = false;
        if (isGarbage || byte === 10) continue;
      }
      if (isInString) {
        if (isEscape) isEscape = false;
        else if (byte === 92) isEscape = true;
        else if (byte === 34) {
          isInString = false;
          if (isKey) {
            key = keySize < KEY_SIZE ? Buffer.from(keyBytes.buffer, 0, keySize).toString('utf8') : '';
            expectsKey = false;
          } else if (takeDepth === depth) endTake(chunk, at + 1);
        } else if (byte === 10) {
          fail('a line ends inside a text');
          if (scan.isStopped) return;
        } else if (isKey && keySize < KEY_SIZE) keyBytes[keySize++] = byte;
        continue;
      }
      if (byte <= 32) {
        if (byte === 10 && isLineWise && depth > 0) fail('the line ends inside an object');
        continue;
      }
      if (byte === 34) {
        if (depth === 0) {
          beginGarbage();
          continue;
        }
        isInString = true;
        isKey = expectsKey && takeDepth < 0 && nodes.length === depth && isArray[depth - 1] === false;
        keySize = 0;
        if (!isKey && takeDepth < 0 && nodes.length === depth) {
          const node = childNode();
          if (node?.take !== undefined) beginTake(node.take, at);
        }
      } else if (byte === 123 || byte === 91) {
        if (depth === 0 && byte === 91) continue;
        if (takeDepth < 0 && nodes.length === depth) {
          const node = depth === 0 ? root : childNode();
          if (node?.take !== undefined) beginTake(node.take, at);
          else if (node !== undefined) {
            nodes.push(node);
            isArray.push(byte === 91);
            index.push(0);
            expectsKey = byte === 123;
          }
        }
        if (depth === 0) {
          taken = 0;
          isBroken = false;
        }
        depth++;
      } else if (byte === 125 || byte === 93) {
        if (depth === 0) {
          // What is left of an object that failed needs no complaint of its own.
          if (byte === 125 && !isBroken) beginGarbage();
          continue;
        }
        depth--;
        if (takeDepth === depth) endTake(chunk, at + 1);
        else if (nodes.length > depth) {
          nodes.length = isArray.length = index.length = depth;
          expectsKey = false;
        }
        if (depth === 0) events.object(taken, line);
      } else if (byte === 44) {
        if (takeDepth < 0 && nodes.length === depth && depth > 0) {
          if (isArray[depth - 1]!) index[depth - 1]!++;
          else expectsKey = true;
        }
      } else if (depth === 0) beginGarbage();
    }
    if (takeDepth >= 0) hold(chunk, takeStart, chunk.length);
  }

  function finish(): void {
    if (depth > 0 && !scan.isStopped) events.malformed('truncated', 'the input ends inside an object', line);
  }

  function childNode(): ScanNode | undefined {
    const node = nodes[depth - 1];
    if (node === undefined) return undefined;
    if (isArray[depth - 1]!) {
      if (node.each !== undefined) return node.each;
      return node.at?.[0] === index[depth - 1] ? node.at![1] : undefined;
    }
    return node.keys !== undefined && Object.hasOwn(node.keys, key) ? node.keys[key] : undefined;
  }

  function beginTake(name: string, at: number): void {
    takeDepth = depth;
    takeName = name;
    takeLine = line;
    takeStart = at;
    heldSize = 0;
    isTooLong = false;
  }

  function endTake(chunk: Uint8Array, end: number): void {
    takeDepth = -1;
    taken++;
    if (isTooLong) return;
    if (heldSize === 0) events.value(takeName, chunk, takeStart, end, takeLine);
    else {
      hold(chunk, takeStart, end);
      if (!isTooLong) events.value(takeName, held, 0, heldSize, takeLine);
    }
    if (held.length > 1 << 20) held = new Uint8Array(0);
  }

  function hold(chunk: Uint8Array, start: number, end: number): void {
    if (isTooLong) return;
    const size = heldSize + end - start;
    if (size > RECORD_SIZE_LIMIT) {
      isTooLong = true;
      held = new Uint8Array(0);
      events.malformed('too-long', `a value longer than ${RECORD_SIZE_LIMIT} bytes`, takeLine);
      return;
    }
    if (size > held.length) {
      const grown = new Uint8Array(Math.max(size, held.length * 2, 4096));
      grown.set(held.subarray(0, heldSize));
      held = grown;
    }
    held.set(chunk.subarray(start, end), heldSize);
    heldSize = size;
  }

  function beginGarbage(): void {
    isGarbage = true;
    events.malformed('invalid-json', 'expected a JSON object', line);
  }

  /** Called at a newline that should not be there: the next line begins anew, if lines mean anything here. */
  function fail(detail: string): void {
    isInString = isEscape = false;
    const isLost = !isLineWise && root.take === undefined;
    depth = 0;
    takeDepth = -1;
    nodes.length = isArray.length = index.length = 0;
    scan.isStopped = isLost;
    isBroken = true;
    events.malformed(
      'invalid-json',
      isLost ? `${detail}; what follows in this document is not read` : detail,
      line - 1,
    );
  }

  return scan;
}
