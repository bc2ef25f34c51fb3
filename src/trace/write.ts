/** Rows back to bytes, for `dropcast convert`: a writer of one output file in one of dropcast's own formats. */
import type { Dictionary, FlowBatch } from '../model/flow.ts';
import type { Sharder } from './binary-shard.ts';
import { createBinaryWriter } from './binary-writer.ts';
import { writeCsv } from './csv.ts';
import { WRITTEN_FIELDS } from './mapping.ts';
import { writeNdjson } from './ndjson.ts';

/** The formats that can be written. */
export type WritableFormat = 'ndjson' | 'csv' | 'binary';

/** Writes one file: the bytes of all `write` calls, then those of `end`. */
export interface TraceWriter {
  write(batch: FlowBatch): Uint8Array;
  end(): Uint8Array;
}

/** Starts a file, a binary one in shards where there is a `sharder`; the batches to come use ids of `dictionary`. Without rows, binary and CSV still give a readable file. */
export function createWriter(format: WritableFormat, dictionary: Dictionary, sharder?: Sharder): TraceWriter {
  switch (format) {
    case 'binary':
      return createBinaryWriter(dictionary, sharder);
    case 'ndjson':
      return { write: (batch) => writeNdjson(batch, dictionary), end: () => new Uint8Array(0) };
    case 'csv': {
      let part: 'first' | 'further' = 'first';
      const write = (batch: FlowBatch): Uint8Array => {
        const bytes = writeCsv(batch, dictionary, part);
        part = 'further';
        return bytes;
      };
      return {
        write,
        end: () => (part === 'first' ? new TextEncoder().encode(`${WRITTEN_FIELDS.join(',')}\n`) : new Uint8Array(0)),
      };
    }
  }
}
