/**
 * The quick reader of plain block YAML: what kubectl prints and people write, at twenty times the speed of a parser of the whole
 * language. It is strict and it gives up: on anchors, aliases, tags, merges, tabs, folded blocks, flow collections over several
 * lines, keys written twice, and on whatever it is not sure of, the caller hands the text to yaml-tree.ts. Invariant: what it
 * accepts has the same value and the same places there (test/manifest/yaml-block.test.ts).
 */
import { keyText, resolvePlain } from './scalar.ts';
import type { PlaceTable } from './yaml-place.ts';

/** A document that was read; `root` is its node in the place table. */
export interface BlockDocument {
  readonly value: unknown;
  readonly root: number;
}

/** Reads the item of a `kind: List` that the quick reader gave up on; undefined: the whole document must be handed over. */
export type ItemReader = (index: number, start: number, end: number) => { readonly value: unknown } | undefined;

/** Deeper documents are handed over, to be refused there. */
const DEEPEST = 150;

/** YAML limits keys that are followed by a colon on their line to 1024 characters. */
const LONGEST_KEY = 1000;

/** Plain keys remembered; a power of two. */
const SLOT_COUNT = 1024;

/** Thrown to give up, from any depth; never leaves this file. */
const GIVE_UP: unique symbol = Symbol('not plain block YAML');

/** Characters that may begin a plain scalar anywhere. A dash may too, before anything but a blank; other indicators never. */
const BEGINS_PLAIN: Uint8Array = (() => {
  const table = new Uint8Array(128);
  for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./$()\\;<=^~+')
    table[character.charCodeAt(0)] = 1;
  return table;
})();

const FLOW_INDICATORS = ',[]{}';

/** Reads the documents of one text. */
export class BlockReader {
  private readonly text: string;
  private readonly places: PlaceTable;
  /** Plain keys as last written, and their names; see `plainName`. */
  private readonly written: (string | undefined)[] = Array.from({ length: SLOT_COUNT });
  private readonly names: (string | undefined)[] = Array.from({ length: SLOT_COUNT });

  private end = 0;
  private readItem: ItemReader | undefined;
  /** The next content line: offset of its first character that is no blank, and its indentation; -1 past the last line. */
  private at = 0;
  private column = 0;
  /** End of the last line taken, its line break included. */
  private lineEnd = 0;
  /** What `scanKey` found. */
  private keyEnd = 0;
  private colon = 0;
  /** Where the last scalar or flow collection ended. */
  private pos = 0;

  constructor(text: string, places: PlaceTable) {
    this.text = text;
    this.places = places;
  }

  /** Reads the document at [start, end), its marker included. `empty`: it has no content; undefined: not plain block YAML. */
  read(start: number, end: number, readItem?: ItemReader): BlockDocument | 'empty' | undefined {
    const mark = this.places.mark;
    this.end = end;
    this.readItem = readItem;
    try {
      this.nextLine(start);
      // Content behind the marker is handed over; it has rules of its own.
      if (this.column === 0 && this.text.startsWith('---', this.at) && this.isBlank(this.at + 3)) {
        this.finishLine(this.at + 3);
      }
      if (this.column < 0) return 'empty';
      const value = this.readBlock(-1, -1, 0);
      if (this.column >= 0) throw GIVE_UP;
      return { value, root: mark };
    } catch (thrown) {
      if (thrown !== GIVE_UP) throw thrown;
      this.places.rewind(mark);
      return undefined;
    }
  }

  /** The name of the key at a span of the text: one that this reader has taken. */
  readonly nameOf = (start: number, end: number): string => {
    const first = this.text.charCodeAt(start);
    if (first === 34 || first === 39) return this.unquote(start, end, -1);
    return this.plainName(start, end);
  };

  /** A mapping or sequence that begins on the current line. */
  private readBlock(keyStart: number, keyEnd: number, depth: number): unknown {
    if (depth > DEEPEST) throw GIVE_UP;
    if (this.isDash(this.at)) return this.readSequence(keyStart, keyEnd, depth);
    const name = this.scanKey(this.at);
    if (name === undefined) throw GIVE_UP;
    return this.readMapping(name, keyStart, keyEnd, depth);
  }

  /** The mapping whose first key, `first`, stands at `at` and was scanned. */
  private readMapping(first: string, keyStart: number, keyEnd: number, depth: number): unknown {
    const { places } = this;
    const { column } = this;
    const object: Record<string, unknown> = {};
    const id = places.add(keyStart, keyEnd, this.at, 0);
    let name = first;
    for (;;) {
      if (object[name] !== undefined && Object.hasOwn(object, name)) throw GIVE_UP;
      const start = this.at;
      const stop = this.keyEnd;
      const after = this.skipBlanks(this.colon + 1);
      if (!this.isLineEnd(after, this.colon + 1)) object[name] = this.readInline(after, column, start, stop, depth + 1);
      else {
        this.finishLine(after);
        const isList = this.column >= column && this.isDash(this.at);
        if (isList && depth === 0 && name === 'items' && this.readItem !== undefined)
          object[name] = this.readItems(start, stop, depth + 1);
        else if (isList) object[name] = this.readSequence(start, stop, depth + 1);
        else if (this.column > column) object[name] = this.readBlock(start, stop, depth + 1);
        else {
          places.add(start, stop, start, start);
          object[name] = null;
        }
      }
      if (this.column !== column) break;
      const next = this.scanKey(this.at);
      if (next === undefined) throw GIVE_UP;
      name = next;
    }
    if (this.column > column) throw GIVE_UP;
    places.close(id, this.lineEnd);
    return object;
  }

  private readSequence(keyStart: number, keyEnd: number, depth: number): unknown[] {
    if (depth > DEEPEST) throw GIVE_UP;
    const { places } = this;
    const { column } = this;
    const list: unknown[] = [];
    const id = places.add(keyStart, keyEnd, this.at, 0);
    do list.push(this.readListItem(column, depth));
    while (this.column === column && this.isDash(this.at));
    if (this.column > column) throw GIVE_UP;
    places.close(id, this.lineEnd);
    return list;
  }

  /** The objects of a `kind: List`, each handed over on its own where it must be: a dump has one odd object in thousands. */
  private readItems(keyStart: number, keyEnd: number, depth: number): unknown[] {
    const { places, end, readItem } = this;
    const { column } = this;
    const list: unknown[] = [];
    const id = places.add(keyStart, keyEnd, this.at, 0);
    do {
      const mark = places.mark;
      const start = this.at;
      try {
        list.push(this.readListItem(column, depth));
        if (this.column > column) throw GIVE_UP;
      } catch (thrown) {
        if (thrown !== GIVE_UP) throw thrown;
        places.rewind(mark);
        const after = this.endOfItem(start, column);
        const item = readItem!(list.length, start - column, after);
        if (item === undefined) throw GIVE_UP;
        places.add(-1, -1, start, after);
        list.push(item.value);
        this.end = end;
        this.lineEnd = after;
        this.nextLine(after);
      }
    } while (this.column === column && this.isDash(this.at));
    places.close(id, this.lineEnd);
    return list;
  }

  /** The first line after the item at `start` that is indented no deeper than its dash, comments and blank lines apart. */
  private endOfItem(start: number, column: number): number {
    const { text, end } = this;
    for (let line = this.nextBreak(start); line < end; line = this.nextBreak(line)) {
      let at = line;
      while (text.charCodeAt(at) === 32) at++;
      const code = text.charCodeAt(at);
      if (at - line <= column && code !== 10 && code !== 13 && code !== 35 && at < end) return line;
    }
    return end;
  }

  private readListItem(column: number, depth: number): unknown {
    const dash = this.at;
    const after = this.skipBlanks(dash + 1);
    if (this.isLineEnd(after, dash + 1)) {
      this.finishLine(after);
      // An empty item stands nowhere that this reader knows.
      if (this.column <= column) throw GIVE_UP;
      return this.readBlock(-1, -1, depth + 1);
    }
    if (this.isDash(after)) {
      this.at = after;
      this.column = column + after - dash;
      return this.readSequence(-1, -1, depth + 1);
    }
    const name = this.scanKey(after);
    if (name === undefined) return this.readInline(after, column, -1, -1, depth + 1);
    this.at = after;
    this.column = column + after - dash;
    if (depth > DEEPEST) throw GIVE_UP;
    return this.readMapping(name, -1, -1, depth + 1);
  }

  /** A scalar or flow collection that begins at `at` of a line, and the rest of its lines. `column` is the indentation around it. */
  private readInline(at: number, column: number, keyStart: number, keyEnd: number, depth: number): unknown {
    const { text } = this;
    const first = text.charCodeAt(at);
    let value: unknown;
    if (first === 34 || first === 39) {
      this.pos = this.endOfQuoted(at, column);
      value = this.unquote(at, this.pos, column);
      this.places.add(keyStart, keyEnd, at, this.pos);
      this.finishLine(this.pos);
    } else if (first === 91 || first === 123) {
      value = this.readFlow(at, keyStart, keyEnd, depth);
      this.finishLine(this.pos);
    } else if (first === 124) {
      value = this.readLiteral(at, column);
      this.places.add(keyStart, keyEnd, at, this.lineEnd);
    } else {
      value = this.readPlain(at, column);
      this.places.add(keyStart, keyEnd, at, this.pos);
      return value;
    }
    if (this.column > column) throw GIVE_UP;
    return value;
  }

  /** A plain scalar; lines indented deeper than `column` continue it. */
  private readPlain(at: number, column: number): unknown {
    const { text } = this;
    if (!this.beginsPlain(at)) throw GIVE_UP;
    let stop = this.endOfPlain(at);
    if (text.charCodeAt(stop) === 58) throw GIVE_UP;
    this.pos = this.trimEnd(at, stop);
    let content = text.slice(at, this.pos);
    const hasComment = text.charCodeAt(stop) === 35;
    let breaks = this.finishLine(stop);
    if (this.column <= column) return plainValue(content);
    if (hasComment) throw GIVE_UP;
    do {
      // A comment ends a plain scalar: the line after it is no continuation.
      if (breaks < 0) throw GIVE_UP;
      stop = this.endOfPlain(this.at);
      const code = text.charCodeAt(stop);
      if (code === 58 || code === 35) throw GIVE_UP;
      this.pos = this.trimEnd(this.at, stop);
      content += (breaks === 0 ? ' ' : '\n'.repeat(breaks)) + text.slice(this.at, this.pos);
      breaks = this.finishLine(stop);
    } while (this.column > column);
    return plainValue(content);
  }

  /** A literal block; only `|` and `|-`, with the indentation of its first line. */
  private readLiteral(at: number, column: number): string {
    const { text, end } = this;
    let header = at + 1;
    const isStripped = text.charCodeAt(header) === 45;
    if (isStripped) header++;
    const after = this.skipBlanks(header);
    if (!this.isLineEnd(after, header)) throw GIVE_UP;
    let line = this.nextBreak(after);
    let indent = -1;
    let content = '';
    let breaks = 0;
    for (; line < end;) {
      const margin = indent < 0 ? end : line + indent;
      let start = line;
      while (start < margin && text.charCodeAt(start) === 32) start++;
      const code = text.charCodeAt(start);
      const isBlank = code === 10 || (code === 13 && text.charCodeAt(start + 1) === 10);
      if (indent < 0) {
        // Blank lines above the first may be indented deeper than it, which is an error.
        if (isBlank || start >= end) throw GIVE_UP;
        indent = start - line;
        if (indent <= column) throw GIVE_UP;
      } else if (!isBlank && start < margin) {
        if (code === 9) throw GIVE_UP;
        break;
      }
      const next = text.indexOf('\n', start);
      // A block at the very end without a line break has none to keep.
      if (next < 0 || next >= end) throw GIVE_UP;
      let stop = next;
      if (text.charCodeAt(stop - 1) === 13 && stop > start) stop--;
      if (stop > start) {
        content += '\n'.repeat(breaks) + text.slice(start, stop);
        breaks = 0;
      }
      breaks++;
      line = next + 1;
    }
    if (indent < 0 || content.includes('\r')) throw GIVE_UP;
    this.lineEnd = line;
    this.nextLine(line);
    return isStripped ? content : `${content}\n`;
  }

  /** A flow collection on one line. */
  private readFlow(at: number, keyStart: number, keyEnd: number, depth: number): unknown {
    if (depth > DEEPEST) throw GIVE_UP;
    const { text, places } = this;
    const isList = text.charCodeAt(at) === 91;
    const close = isList ? 93 : 125;
    const id = places.add(keyStart, keyEnd, at, 0);
    const list: unknown[] = [];
    const object: Record<string, unknown> = {};
    let here = this.skipBlanks(at + 1);
    if (text.charCodeAt(here) !== close)
      for (;;) {
        if (isList) list.push(this.readFlowValue(here, -1, -1, depth));
        else {
          const start = here;
          const name = this.readFlowKey(here);
          if (Object.hasOwn(object, name)) throw GIVE_UP;
          const stop = this.keyEnd;
          object[name] = this.readFlowValue(this.skipBlanks(this.colon + 1), start, stop, depth);
        }
        here = this.skipBlanks(this.pos);
        const code = text.charCodeAt(here);
        if (code === close) break;
        if (code !== 44) throw GIVE_UP;
        here = this.skipBlanks(here + 1);
      }
    this.pos = here + 1;
    places.close(id, this.pos);
    return isList ? list : object;
  }

  /** The key at `at`: sets `keyEnd` and `colon`. After a quoted key the colon needs no blank. */
  private readFlowKey(at: number): string {
    const { text } = this;
    const first = text.charCodeAt(at);
    if (first === 34 || first === 39) {
      this.keyEnd = this.endOfQuoted(at, -1);
      this.colon = this.skipBlanks(this.keyEnd);
      if (text.charCodeAt(this.colon) !== 58) throw GIVE_UP;
      return this.checkName(this.unquote(at, this.keyEnd, -1));
    }
    this.colon = this.endOfFlowPlain(at);
    if (text.charCodeAt(this.colon) !== 58 || text.charCodeAt(this.colon + 1) !== 32) throw GIVE_UP;
    this.keyEnd = this.trimEnd(at, this.colon);
    return this.plainName(at, this.keyEnd);
  }

  private readFlowValue(at: number, keyStart: number, keyEnd: number, depth: number): unknown {
    const { text } = this;
    const first = text.charCodeAt(at);
    if (first === 91 || first === 123) return this.readFlow(at, keyStart, keyEnd, depth + 1);
    let value: unknown;
    if (first === 34 || first === 39) {
      this.pos = this.endOfQuoted(at, -1);
      value = this.unquote(at, this.pos, -1);
    } else {
      const stop = this.endOfFlowPlain(at);
      const code = text.charCodeAt(stop);
      if (code !== 44 && code !== 93 && code !== 125) throw GIVE_UP;
      this.pos = this.trimEnd(at, stop);
      value = plainValue(text.slice(at, this.pos));
    }
    this.places.add(keyStart, keyEnd, at, this.pos);
    return value;
  }

  /** The name of the key at `at`, where a key with its colon stands there: sets `keyEnd` and `colon`. */
  private scanKey(at: number): string | undefined {
    const { text } = this;
    const first = text.charCodeAt(at);
    if (first === 34 || first === 39) {
      const end = this.endOfQuoted(at, -2);
      if (end < 0) return undefined;
      const colon = this.skipBlanks(end);
      if (text.charCodeAt(colon) !== 58 || !this.isBlank(colon + 1)) return undefined;
      if (end - at > LONGEST_KEY) throw GIVE_UP;
      this.keyEnd = end;
      this.colon = colon;
      return this.checkName(this.unquote(at, end, -1));
    }
    if (!this.beginsPlain(at)) return undefined;
    const stop = this.endOfPlain(at);
    if (text.charCodeAt(stop) !== 58 || stop >= this.end) return undefined;
    if (stop - at > LONGEST_KEY) throw GIVE_UP;
    this.colon = stop;
    this.keyEnd = this.trimEnd(at, stop);
    return this.plainName(at, this.keyEnd);
  }

  /** The name of the plain key at a span. Manifests repeat few keys very often: these are told by a look, without a new text each. */
  private plainName(start: number, end: number): string {
    const { text } = this;
    const length = end - start;
    const slot =
      (length * 37 +
        text.charCodeAt(start) * 5 +
        text.charCodeAt(start + (length >> 1)) * 17 +
        text.charCodeAt(end - 1)) &
      (SLOT_COUNT - 1);
    const written = this.written[slot];
    if (written !== undefined && written.length === length && text.startsWith(written, start)) return this.names[slot]!;
    const key = text.slice(start, end);
    const result = resolvePlain(key);
    const name = 'error' in result || key === '<<' ? undefined : keyText(result.value);
    if (name === undefined) throw GIVE_UP;
    this.checkName(name);
    this.written[slot] = key;
    this.names[slot] = name;
    return name;
  }

  /** Assigning to `__proto__` would set the prototype. */
  private checkName(name: string): string {
    if (name === '__proto__') throw GIVE_UP;
    return name;
  }

  /**
   * End of the quoted scalar at `at`. Its lines after the first must be indented deeper than `column`; -1: it may have none, and -2: -1 is
   * given back where it has some.
   */
  private endOfQuoted(at: number, column: number): number {
    const { text } = this;
    const quote = text.charCodeAt(at);
    for (let index = at + 1; index < this.end; index++) {
      const code = text.charCodeAt(index);
      if (code === quote) {
        if (quote === 34 || text.charCodeAt(index + 1) !== 39) return index + 1;
        index++;
      } else if (code === 92 && quote === 34) {
        index++;
        if (text.charCodeAt(index) < 32) throw GIVE_UP;
      } else if (code === 10) {
        if (column === -2) return -1;
        if (column === -1) throw GIVE_UP;
        let start = index + 1;
        while (text.charCodeAt(start) === 32) start++;
        const next = text.charCodeAt(start);
        if (next !== 10 && next !== 13 && start - index - 1 <= column) throw GIVE_UP;
      } else if (code < 32 && (code !== 13 || text.charCodeAt(index + 1) !== 10)) throw GIVE_UP;
    }
    throw GIVE_UP;
  }

  /** The text of a quoted scalar; escapes are those of JSON, any other is handed over. */
  private unquote(start: number, end: number, column: number): string {
    const { text } = this;
    let inner = text.slice(start + 1, end - 1);
    if (column >= 0 && inner.includes('\n')) inner = foldLines(inner);
    if (text.charCodeAt(start) === 39) return inner.includes("'") ? inner.replaceAll("''", "'") : inner;
    if (!inner.includes('\\')) return inner;
    try {
      return JSON.parse(`"${inner.replaceAll('\n', '\\n')}"`) as string;
    } catch {
      throw GIVE_UP;
    }
  }

  /** Where the plain scalar at `at` stops: at its colon, the # of a comment, or the end of the line. */
  private endOfPlain(at: number): number {
    const { text } = this;
    for (let index = at; ; index++) {
      const code = text.charCodeAt(index);
      if (code > 58) continue;
      if (code === 58) {
        if (this.isBlank(index + 1)) return index;
      } else if (code === 35) {
        if (index > at && text.charCodeAt(index - 1) === 32) return index;
      } else if (code < 32) {
        if (code === 10 || (code === 13 && text.charCodeAt(index + 1) === 10)) return index;
        throw GIVE_UP;
      } else if (code !== code) return index;
    }
  }

  /** The same inside a flow collection, where brackets and commas stop it too. */
  private endOfFlowPlain(at: number): number {
    const { text } = this;
    if (!this.beginsPlain(at)) throw GIVE_UP;
    // A dash before a comma or bracket is an indicator here.
    if (text.charCodeAt(at) === 45 && FLOW_INDICATORS.includes(text[at + 1]!)) throw GIVE_UP;
    for (let index = at; ; index++) {
      const code = text.charCodeAt(index);
      switch (code) {
        case 44:
        case 93:
        case 125:
          return index;
        case 58: {
          const next = text.charCodeAt(index + 1);
          if (next === 32) return index;
          if (!(next > 32) || FLOW_INDICATORS.includes(text[index + 1]!)) throw GIVE_UP;
          break;
        }
        case 91:
        case 123:
          throw GIVE_UP;
        case 35:
          if (text.charCodeAt(index - 1) === 32) throw GIVE_UP;
          break;
        default:
          if (!(code >= 32)) throw GIVE_UP;
      }
    }
  }

  private beginsPlain(at: number): boolean {
    const code = this.text.charCodeAt(at);
    if (code < 128) return BEGINS_PLAIN[code] === 1 || (code === 45 && !this.isBlank(at + 1));
    return code !== 0xfeff && code === code;
  }

  /** Takes the rest of a line: blanks, a comment, the break; then goes to the next content line as `nextLine` does. */
  private finishLine(at: number): number {
    const { text } = this;
    const here = this.skipBlanks(at);
    const code = text.charCodeAt(here);
    if (code === 35) {
      // Only the first character of a value can be a # without a blank before it, and that is a comment.
      if (text.charCodeAt(here - 1) !== 32) throw GIVE_UP;
    } else if (here < this.end && code !== 10 && (code !== 13 || text.charCodeAt(here + 1) !== 10)) throw GIVE_UP;
    this.lineEnd = this.nextBreak(here);
    return this.nextLine(this.lineEnd);
  }

  /** Goes to the next content line from the line start `from`; gives back how many blank lines it passed, -1 with comments among them. */
  private nextLine(from: number): number {
    const { text, end } = this;
    let line = from;
    let count = 0;
    for (;;) {
      let at = line;
      while (text.charCodeAt(at) === 32) at++;
      if (at >= end) {
        this.at = end;
        this.column = -1;
        return count;
      }
      const code = text.charCodeAt(at);
      if (code > 35) {
        this.at = at;
        this.column = at - line;
        return count;
      }
      if (code === 10) {
        line = at + 1;
        if (count >= 0) count++;
      } else if (code === 35) {
        line = this.nextBreak(at);
        count = -1;
      } else if (code === 13 && text.charCodeAt(at + 1) === 10) {
        line = at + 2;
        if (count >= 0) count++;
      } else if (code < 32) throw GIVE_UP;
      else {
        this.at = at;
        this.column = at - line;
        return count;
      }
    }
  }

  /** Start of the line after `at`, or the end of the document. */
  private nextBreak(at: number): number {
    const next = this.text.indexOf('\n', at);
    return next < 0 || next >= this.end ? this.end : next + 1;
  }

  private skipBlanks(at: number): number {
    let here = at;
    while (this.text.charCodeAt(here) === 32) here++;
    return here;
  }

  private trimEnd(start: number, stop: number): number {
    let end = stop;
    while (end > start && this.text.charCodeAt(end - 1) === 32) end--;
    return end;
  }

  /** True where the value that should begin at `at`, after the indicator that ends at `after`, is on no part of this line. */
  private isLineEnd(at: number, after: number): boolean {
    const code = this.text.charCodeAt(at);
    return code === 10 || code === 13 || at >= this.end || (code === 35 && at > after);
  }

  private isDash(at: number): boolean {
    return this.text.charCodeAt(at) === 45 && this.isBlank(at + 1);
  }

  /** A blank, a break or the end of the text: what makes an indicator of a colon or a dash. */
  private isBlank(at: number): boolean {
    const code = this.text.charCodeAt(at);
    return code === 32 || code === 10 || code === 13 || code === 9 || code !== code;
  }
}

function plainValue(text: string): unknown {
  const first = text.charCodeAt(0);
  if ((first >= 97 && first <= 122) || (first >= 65 && first <= 90)) {
    // Of the words that mean something none is longer, and these are their first letters; no number begins with a letter.
    if (text.length > 5) return text;
    const lower = first | 32;
    if (lower !== 102 && lower !== 110 && lower !== 111 && lower !== 116 && lower !== 121) return text;
  } else if (first >= 49 && first <= 57 && text.length < 16) {
    let number = 0;
    let index = 0;
    for (; index < text.length; index++) {
      const digit = text.charCodeAt(index) - 48;
      if (digit < 0 || digit > 9) break;
      number = number * 10 + digit;
    }
    if (index === text.length) return number;
  }
  const result = resolvePlain(text);
  if ('error' in result) throw GIVE_UP;
  return result.value;
}

/** The lines of a quoted scalar joined: one break is a blank, more are one break less. Blanks around a break go. */
function foldLines(inner: string): string {
  const lines = inner.split('\n');
  let joined = '';
  let breaks = 0;
  for (const [index, line] of lines.entries()) {
    const isLast = index === lines.length - 1;
    let start = 0;
    let end = line.length;
    if (!isLast && line.charCodeAt(end - 1) === 13) end--;
    if (index > 0) while (start < end && line.charCodeAt(start) === 32) start++;
    if (!isLast) while (end > start && line.charCodeAt(end - 1) === 32) end--;
    if (index > 0) {
      if (start === end && !isLast) {
        breaks++;
        continue;
      }
      joined += breaks === 0 ? ' ' : '\n'.repeat(breaks);
      breaks = 0;
    }
    joined += line.slice(start, end);
  }
  return joined;
}
