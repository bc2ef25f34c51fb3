/**
 * From the beginning of an input to the format that reads it: layers are peeled off one after another until a format knows what is
 * left. Certain wrappers are asked before the formats, because an envelope shows the words of what it carries; prefixes that a format
 * may have of its own after them; and a log whose records stand among other lines last.
 */
import { setOrigin, type TraceAccount } from './account.ts';
import { addFailure, noteContainer, Peekable } from './container.ts';
import { CSV } from './csv.ts';
import { DOCUMENT_KEYS, ENVELOPES } from './envelope.ts';
import { nearestByKeys } from './field-source.ts';
import type { TraceFormat } from './format.ts';
import { createHead, HEAD_SIZE, startsWith, type Head, type JsonKeys } from './head.ts';
import type { LineMap } from './line-map.ts';
import { knowsLine, knowsSingleLines, lineHead, openOtherLineFilter } from './other-line.ts';
import { PREFIXES, WEAK_PREFIXES } from './prefix.ts';
import { mayBeTar } from './tar.ts';
import { Layer, mapLine, unwrapLayer, type Unwrapper, type Wrapper } from './wrapper.ts';

/** Layers around a record: a log of a log in an envelope in an array is four. */
const LAYER_LIMIT = 8;

/** Asked before the formats. */
const WRAPPERS: readonly Wrapper[] = [...ENVELOPES, ...PREFIXES];

/** How an input is to be read. */
export interface Recognised {
  readonly format: TraceFormat;
  /** What is left when all layers are off. */
  readonly stream: Peekable;
  readonly head: Head;
}

/** What is said of the input beforehand. */
export interface RecogniseOptions {
  readonly formats: readonly TraceFormat[];
  /** A name instead of recognition of the format; layers are peeled off all the same. */
  readonly asked?: string | undefined;
  /** A mapping explains the records: JSON, Parquet or a table, which shows by itself. */
  readonly isMapped: boolean;
  readonly account: TraceAccount;
  /** Name within an archive. */
  readonly member?: string | undefined;
}

/** Peels the layers off and names the format; undefined, with a diagnostic where `report` asks for it, if none is known. */
export async function recogniseTrace(
  bytes: Peekable,
  options: RecogniseOptions,
  report: (message: string, hint: string, severity?: 'warning') => void,
): Promise<Recognised | undefined> {
  const { account, formats, member } = options;
  const maps: LineMap[] = [];
  let stream = bytes;
  let isLog = false;
  const asked = options.asked === undefined ? undefined : formats.find(({ name }) => name === options.asked);
  if (options.asked !== undefined && asked === undefined) {
    report(`no trace format is called "${options.asked}"`, `dropcast reads ${readableNames(formats)}`);
    return undefined;
  }
  const addLayer = (open: (layer: Layer) => Unwrapper): void => {
    const layer = new Layer(account, [...maps]);
    maps.push(layer.map);
    stream = new Peekable(unwrapLayer(stream.read(), open(layer), layer));
    setOrigin(account, { ...(member !== undefined && { member }), lineOf: (line) => mapLine(maps, line) });
  };
  setOrigin(account, member === undefined ? {} : { member });
  for (;;) {
    // Magic numbers need 12 bytes, text its first line; more is waited for only where that does not tell.
    while ((stream.head.length < 12 || mayBeTar(stream.head)) && !stream.isWhole) await stream.more();
    const head = createHead(stream.head, stream.isWhole);
    const mapped = options.isMapped && asked === undefined ? mappedFormat(head, formats) : undefined;
    const found = choose(head, asked ?? mapped, formats, maps.length);
    if (found === 'more') {
      await stream.more();
      continue;
    }
    if (found === undefined) {
      if (stream.head.length === 0 && maps.length === 0) report('the input is empty', '');
      else if (stream.head.length > 0) report('no known trace format begins like this', describeUnknown(head, formats));
      // An empty answer of a log store is no error.
      else report(`there is no record in it (${account.containers.join(', ')})`, '', 'warning');
      return undefined;
    }
    if ('wrapper' in found) {
      if (maps.length === LAYER_LIMIT) {
        addFailure(account, 'limit-exceeded', `more than ${LAYER_LIMIT} layers around the records`);
        return undefined;
      }
      const { wrapper } = found;
      noteContainer(account, wrapper.name, member === undefined ? 0 : 1);
      isLog ||= wrapper.isLog;
      addLayer((layer) => wrapper.open(layer, head));
      continue;
    }
    const { format, isMixed } = found;
    if (
      (isMixed || isLog) &&
      asked === undefined &&
      !options.isMapped &&
      format.open !== undefined &&
      (isMixed || knowsSingleLines(format, head))
    ) {
      addLayer((layer) => openOtherLineFilter(format, layer));
      while (stream.head.length < 12 && !stream.isWhole) await stream.more();
      return { format, stream, head: createHead(stream.head, stream.isWhole) };
    }
    return { format, stream, head };
  }
}

/** The names of the formats that have a reader. */
export function readableNames(formats: readonly TraceFormat[]): string {
  return formats
    .filter(({ open, openFile }) => open !== undefined || openFile !== undefined)
    .map(({ name }) => name)
    .join(', ');
}

type Choice = { wrapper: Wrapper } | { format: TraceFormat; isMixed: boolean } | 'more' | undefined;

function choose(head: Head, asked: TraceFormat | undefined, formats: readonly TraceFormat[], depth: number): Choice {
  const size = head.bytes.length;
  const isOpenJson = head.json !== undefined && !head.json.isWhole;
  const isEnough = head.isWhole || size >= (isOpenJson ? 16 * HEAD_SIZE : HEAD_SIZE);
  // The keys that tell an envelope may come after those of its first record.
  if (isOpenJson && !isEnough && mayBeEnvelope(head.json!)) return 'more';
  if (asked?.isText !== false) {
    const wrapper = WRAPPERS.find(({ recognise }) => recognise(head));
    const takesDocument = (one: TraceFormat): boolean => one.isDocument === true && one.recognise(head);
    const isTaken =
      wrapper?.isLayout === true && (asked === undefined ? formats.some(takesDocument) : takesDocument(asked));
    if (wrapper !== undefined && !isTaken) return { wrapper };
  }
  if (asked !== undefined) {
    const hasEnough = head.isWhole || size > HEAD_SIZE || (size >= 16 && (!asked.isText || head.bytes.includes(10)));
    return hasEnough ? { format: asked, isMixed: false } : 'more';
  }
  const format = formats.find(({ recognise }) => recognise(head));
  // A line that has only begun is not known yet: what looks like a prefix may be the format's own.
  const isLineKnown = isEnough || head.bytes.includes(10);
  if (format === undefined ? isLineKnown : format.isText && format.isPrefixed !== true) {
    // Many a format knows its lines also behind a prefix, but its reader does not.
    const weak = WEAK_PREFIXES.find(({ recognise }) => recognise(head));
    if (weak !== undefined) return { wrapper: weak };
  }
  if (format !== undefined) return { format, isMixed: false };
  if (!isEnough) return 'more';
  const mixed = mixedFormat(head, formats, depth);
  return mixed === undefined ? undefined : { format: mixed, isMixed: true };
}

function mayBeEnvelope({ top, isMultiLine }: JsonKeys): boolean {
  return isMultiLine || DOCUMENT_KEYS.some((key) => top.has(key));
}

function mappedFormat({ json, bytes }: Head, formats: readonly TraceFormat[]): TraceFormat | undefined {
  const name = startsWith(bytes, 0x50, 0x41, 0x52, 0x31) ? 'parquet' : json === undefined ? 'csv' : 'json';
  return formats.find((format) => format.name === name);
}

/** The format that most single lines are of: a few are enough behind a log's prefix, a fifth of them elsewhere. */
function mixedFormat(head: Head, formats: readonly TraceFormat[], depth: number): TraceFormat | undefined {
  const votes = voteByLine(head, formats);
  const [first] = votes;
  if (first === undefined) return undefined;
  return depth > 0 || first.count * 5 >= head.lines.length ? first.format : undefined;
}

interface Vote {
  readonly format: TraceFormat;
  readonly count: number;
}

function voteByLine(head: Head, formats: readonly TraceFormat[]): Vote[] {
  const counts = new Map<TraceFormat, number>();
  if (head.text === '' || head.lines.length < 2) return [];
  for (const line of head.lines.slice(0, 50)) {
    const alone = lineHead(line);
    const format = formats.find((one) => one.isText && one !== CSV && one.recognise(alone));
    if (format !== undefined) counts.set(format, (counts.get(format) ?? 0) + 1);
  }
  return [...counts].map(([format, count]) => ({ format, count })).sort((a, b) => b.count - a.count);
}

function describeUnknown(head: Head, formats: readonly TraceFormat[]): string {
  const override = `dropcast reads ${readableNames(formats)}; --format NAME overrides recognition, --map names the columns of any table`;
  const { json, lines } = head;
  const isManifest = json === undefined ? lines.some((line) => line.startsWith('apiVersion: ')) : hasKind(json);
  if (isManifest) return 'it looks like a Kubernetes manifest, which -f reads';
  const near = json === undefined ? undefined : nearestByKeys(json.all);
  if (near !== undefined)
    return `nearest is ${near.format}: its JSON has ${near.has.slice(0, 6).join(', ')}, but not ${near.lacks.slice(0, 6).join(', ')}; ${override}`;
  if (json !== undefined) return `its JSON objects have the keys ${[...json.top].slice(0, 12).join(', ')}; ${override}`;
  for (const { name, describeLack } of formats) {
    const lack = describeLack?.(head);
    if (lack !== undefined) return `nearest is ${name}: ${lack}; ${override}`;
  }
  const [nearest] = voteByLine(head, formats);
  if (nearest === undefined || lines.length === 0) return override;
  const odd = lines.findIndex((line) => !knowsLine(nearest.format, line));
  return `nearest is ${nearest.format.name}: ${nearest.count} of the first ${lines.length} lines are such records, but line ${head.rawLines.indexOf(lines[odd]!) + 1} is not; ${override}`;
}

function hasKind({ top }: JsonKeys): boolean {
  return top.has('apiVersion') && top.has('kind');
}
