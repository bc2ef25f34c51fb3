/**
 * What was understood of the first records of an input: format, layers, for each field where it came from and samples of it, what
 * is absent, what was inferred, and the counts so far. For people who have a file that dropcast reads wrongly, or not at all.
 */
import { createDictionary, Orientation, type FlowBatch } from '../model/flow.ts';
import { createAccount, sourcesOf, type TraceAccount } from './account.ts';
import { fieldText } from './csv.ts';
import { fieldSourcesOf } from './field-source.ts';
import { WRITTEN_FIELDS, type CsvField } from './mapping.ts';
import { readTrace, FORMATS, type ReadOptions } from './read.ts';
import { ORIENTED_BY_WORDS } from './word.ts';

/** One field over the first records. */
export interface ExplainedField {
  readonly field: CsvField;
  /** What the source calls it; undefined where nothing says so. */
  readonly source?: string;
  /** Rows in which it says something. */
  readonly present: number;
  /** The first values that differ, at most `SAMPLES_SHOWN`. */
  readonly samples: readonly string[];
}

/** What was understood of one input. */
export interface TraceExplanation {
  readonly account: TraceAccount;
  /** A few words for the format. */
  readonly description: string;
  /** Rows that were looked at, and whether there were more. */
  readonly rows: number;
  readonly extent: 'whole' | 'beginning';
  readonly fields: readonly ExplainedField[];
  /** How it is known who opened the connection: word -> rows; rows of which it is not known under `unknown`. */
  readonly orientedBy: ReadonlyMap<string, number>;
}

/** Rows that are looked at. */
export const EXPLAINED_ROWS = 1000;
/** Samples of a field. */
const SAMPLES_SHOWN = 3;

/** Texts that say of a field that nothing is known. */
const NOTHING: Readonly<Partial<Record<CsvField, string>>> = {
  verdict: 'none',
  orientation: 'unknown',
  repeats: '0',
  replyBytes: '0',
  replyPackets: '0',
  connections: '1',
};
/** Fields that every row has by itself. */
const OWN: readonly CsvField[] = ['kind', 'orientedBy'];

/** Reads the beginning of an input; `options` as for reading it whole. */
export async function explainTrace(
  source: AsyncIterable<Uint8Array>,
  options: Omit<ReadOptions, 'account' | 'dictionary'>,
): Promise<TraceExplanation> {
  const account = createAccount(options.file);
  const dictionary = createDictionary();
  const counts = new Map<CsvField, { present: number; samples: Set<string> }>(
    WRITTEN_FIELDS.map((field) => [field, { present: 0, samples: new Set() }]),
  );
  const orientedBy = new Map<string, number>();
  let rows = 0;
  let extent: TraceExplanation['extent'] = 'whole';
  const take = (batch: FlowBatch): void => {
    const end = Math.min(batch.count, EXPLAINED_ROWS - rows);
    for (let row = 0; row < end; row++) {
      for (const [field, count] of counts) {
        const text = fieldText(batch, row, field, dictionary);
        if (text === '' || text === NOTHING[field]) continue;
        count.present++;
        if (count.samples.size < SAMPLES_SHOWN) count.samples.add(text);
      }
      const isKnown = batch.orientation[row] !== Orientation.Unknown;
      const word = isKnown ? ORIENTED_BY_WORDS[batch.orientedBy[row]!]! : 'unknown';
      orientedBy.set(word, (orientedBy.get(word) ?? 0) + 1);
    }
    rows += end;
    if (end < batch.count) extent = 'beginning';
  };
  for await (const batch of readTrace(source, { ...options, account, dictionary, batchCapacity: EXPLAINED_ROWS })) {
    take(batch);
    if (rows < EXPLAINED_ROWS) continue;
    extent = 'beginning';
    break;
  }
  const known = fieldSourcesOf(account.format);
  const found = sourcesOf(account);
  const fields = WRITTEN_FIELDS.filter((field) => !OWN.includes(field)).map((field) => {
    const { present, samples } = counts.get(field)!;
    const said = found?.get(field) ?? known[field];
    return { field, ...(said !== undefined && { source: said }), present, samples: [...samples] };
  });
  const description = account.format
    .split(' + ')
    .map((name) => FORMATS.find((format) => format.name === name)?.description ?? 'nothing that dropcast knows')
    .join(' and ');
  return { account, description, rows, extent, fields, orientedBy };
}
