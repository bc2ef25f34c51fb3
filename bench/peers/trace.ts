/** What one would write to read a trace: slices and `JSON.parse`, `split`, and DuckDB's readers. */
import { closeSync, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { OpenJob } from '../limit/job.ts';

const CHUNK = 1 << 20;
const COLUMN_ROWS = 16_384;

interface HubbleEndpoint {
  readonly namespace?: string;
  readonly pod_name?: string;
  readonly labels?: readonly string[];
  readonly workloads?: readonly { readonly name?: string; readonly kind?: string }[];
}

interface HubbleFlow {
  readonly time?: string;
  readonly verdict?: string;
  readonly IP?: { readonly source?: string; readonly destination?: string };
  readonly l4?: Readonly<
    Record<string, { source_port?: number; destination_port?: number; flags?: Readonly<Record<string, boolean>> }>
  >;
  readonly source?: HubbleEndpoint;
  readonly destination?: HubbleEndpoint;
  readonly is_reply?: boolean;
  readonly traffic_direction?: string;
}

/** Chunks of 1 MiB, each line a slice that `JSON.parse` reads; the same fields go to columns, labels and pod names included. */
export const openJsonLoop: OpenJob = (folder) => {
  const ids = new Map<string, number>();
  const idOf = (text: string): number => {
    let id = ids.get(text);
    if (id === undefined) ids.set(text, (id = ids.size));
    return id;
  };
  const endpointOf = (end: HubbleEndpoint | undefined): number =>
    end === undefined
      ? 0
      : idOf(
          `${end.namespace}/${end.pod_name}/${end.workloads?.[0]?.kind}/${end.workloads?.[0]?.name}/${(end.labels ?? []).join()}`,
        );
  const columns = Array.from({ length: 12 }, () => new Float64Array(COLUMN_ROWS));
  let records = 0;
  return {
    get count() {
      return records;
    },
    run: () => {
      records = 0;
      eachLine(join(folder, 'flows.jsonl'), (line) => {
        const { flow } = JSON.parse(line) as { flow?: HubbleFlow };
        if (flow === undefined) return;
        const row = records++ % COLUMN_ROWS;
        const [protocol, transport] = Object.entries(flow.l4 ?? {})[0] ?? ['', {}];
        columns[0]![row] = Date.parse(flow.time ?? '');
        columns[1]![row] = idOf(flow.verdict ?? '');
        columns[2]![row] = idOf(flow.IP?.source ?? '');
        columns[3]![row] = idOf(flow.IP?.destination ?? '');
        columns[4]![row] = idOf(protocol);
        columns[5]![row] = transport.source_port ?? -1;
        columns[6]![row] = transport.destination_port ?? -1;
        columns[7]![row] = transport.flags?.['SYN'] === true ? 2 : 0;
        columns[8]![row] = flow.is_reply === true ? 1 : 0;
        columns[9]![row] = idOf(flow.traffic_direction ?? '');
        columns[10]![row] = endpointOf(flow.source);
        columns[11]![row] = endpointOf(flow.destination);
      });
    },
    first: () => records,
  };
};

/** DuckDB's read_json, with the same fields, summed by pair of pods; on one thread. */
export const openDuckJson: OpenJob = (folder) =>
  duckJob(
    `SELECT CAST(count(*) AS INTEGER) FROM (SELECT flow.source.pod_name AS a, flow.destination.pod_name AS b, flow.l4 AS l4, flow."IP" AS ip, flow.source.labels AS labels, flow.is_reply AS reply, flow.time AS time FROM read_json('${join(folder, 'flows.jsonl')}', format='newline_delimited')) WHERE ip.source IS NOT NULL AND a IS NOT NULL AND len(labels) > 0 AND time IS NOT NULL`,
  );

/** DuckDB's read_csv of a VPC flow log, on one thread. */
export const openDuckCsv: OpenJob = (folder) =>
  duckJob(
    `SELECT CAST(count(*) AS INTEGER) FROM read_csv('${join(folder, 'vpc.log')}', delim=' ', header=true) WHERE bytes > 0 AND srcport >= 0 AND dstaddr IS NOT NULL AND srcaddr IS NOT NULL`,
  );

/** Calls `take` with each line of a file, read in chunks; what a chunk cuts is kept for the next. */
export function eachLine(path: string, take: (line: string) => void): void {
  const file = openSync(path, 'r');
  const chunk = Buffer.alloc(CHUNK);
  let rest = Buffer.alloc(0);
  for (;;) {
    const length = readSync(file, chunk, 0, CHUNK, null);
    if (length === 0) break;
    const bytes = rest.length === 0 ? chunk.subarray(0, length) : Buffer.concat([rest, chunk.subarray(0, length)]);
    let from = 0;
    for (let end = bytes.indexOf(10, from); end >= 0; end = bytes.indexOf(10, from)) {
      take(bytes.toString('utf8', from, end));
      from = end + 1;
    }
    rest = Buffer.from(bytes.subarray(from));
  }
  if (rest.length > 0) take(rest.toString());
  closeSync(file);
}

async function duckJob(query: string): Promise<Awaited<ReturnType<OpenJob>>> {
  const require = createRequire(join(process.cwd(), 'bench/peers/package.json'));
  const { DuckDBInstance } = require('@duckdb/node-api') as {
    DuckDBInstance: {
      create(
        path: string,
        options: object,
      ): Promise<{ connect(): Promise<{ runAndReadAll(sql: string): Promise<{ getRows(): number[][] }> }> }>;
    };
  };
  const connection = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
  let count = 0;
  return {
    get count() {
      return count;
    },
    run: async () => {
      count = Number((await connection.runAndReadAll(query)).getRows()[0]![0]);
    },
    first: () => count,
  };
}
