/**
 * The loops that anyone writes first, over the chunks of a file: what bench/reader.ts holds the readers to. Each carries the line
 * that a chunk cuts over to the next one, and keeps no object of a record.
 */

/** What a loop saw. */
export interface Pass {
  readonly records: number;
  readonly sum: number;
}

/** Lines and fields as strings, and nothing done with them. */
export function splitOnly(chunks: Iterable<Buffer>): Pass {
  let records = 0;
  let fields = 0;
  eachLine(chunks, (line) => {
    fields += line.split(' ').length;
    records++;
  });
  return { records, sum: fields };
}

/** The fields of a VPC flow log as numbers in columns, interfaces and addresses by a Map of strings. */
export function splitFields(chunks: Iterable<Buffer>): Pass {
  const names = new Map<string, number>();
  const idOf = (name: string): number => {
    let id = names.get(name);
    if (id === undefined) names.set(name, (id = names.size));
    return id;
  };
  const columns = Array.from({ length: 9 }, () => new Float64Array(16_384));
  let records = -1;
  eachLine(chunks, (line) => {
    const fields = line.split(' ');
    // The header.
    if (records++ < 0) return;
    const row = records & 16_383;
    columns[0]![row] = idOf(fields[2]!);
    columns[1]![row] = idOf(fields[3]!);
    columns[2]![row] = idOf(fields[4]!);
    columns[3]![row] = Number(fields[5]);
    columns[4]![row] = Number(fields[6]);
    columns[5]![row] = Number(fields[7]);
    columns[6]![row] = Number(fields[8]);
    columns[7]![row] = Number(fields[9]);
    columns[8]![row] = Number(fields[10]);
  });
  return { records, sum: columns.reduce((sum, column) => sum + column[0]!, 0) };
}

interface Endpoint {
  readonly namespace?: string;
  readonly pod_name?: string;
  readonly identity?: number;
  readonly labels?: readonly string[];
  readonly workloads?: readonly { readonly name?: string }[];
}

interface Flow {
  readonly time?: string;
  readonly verdict?: string;
  readonly IP?: { readonly source?: string; readonly destination?: string };
  readonly l4?: Record<string, { source_port?: number; destination_port?: number; type?: number; flags?: object }>;
  readonly source?: Endpoint;
  readonly destination?: Endpoint;
  readonly event_type?: { readonly type?: number };
  readonly is_reply?: boolean;
}

/** The fields of a Hubble flow in columns; addresses and endpoints, labels and names included, by a Map of strings. */
export function parseEach(chunks: Iterable<Buffer>): Pass {
  const names = new Map<string, number>();
  const idOf = (name: string): number => {
    let id = names.get(name);
    if (id === undefined) names.set(name, (id = names.size));
    return id;
  };
  const endpointOf = (endpoint: Endpoint | undefined): number => {
    if (endpoint === undefined) return 0;
    const { namespace, pod_name, identity, labels, workloads } = endpoint;
    return idOf(`${namespace} ${pod_name} ${identity} ${workloads?.[0]?.name} ${labels?.join(',')}`);
  };
  const columns = Array.from({ length: 12 }, () => new Float64Array(16_384));
  let records = 0;
  eachSlice(chunks, (line) => {
    const { flow } = JSON.parse(line) as { flow: Flow };
    const row = records++ & 16_383;
    columns[0]![row] = Date.parse(flow.time ?? '');
    columns[1]![row] = idOf(flow.verdict ?? '');
    columns[2]![row] = idOf(flow.IP?.source ?? '');
    columns[3]![row] = idOf(flow.IP?.destination ?? '');
    for (const name in flow.l4) {
      const part = flow.l4[name]!;
      columns[4]![row] = idOf(name);
      columns[5]![row] = part.source_port ?? part.type ?? -1;
      columns[6]![row] = part.destination_port ?? -1;
      columns[7]![row] = part.flags === undefined ? -1 : Object.keys(part.flags).length;
    }
    columns[8]![row] = endpointOf(flow.source);
    columns[9]![row] = endpointOf(flow.destination);
    columns[10]![row] = flow.event_type?.type ?? 0;
    columns[11]![row] = flow.is_reply === undefined ? -1 : Number(flow.is_reply);
  });
  return { records, sum: columns.reduce((sum, column) => sum + column[0]!, 0) };
}

/** The file system's part: every chunk is read, one byte of each page looked at. */
export function scanBytes(chunks: Iterable<Buffer>): Pass {
  let sum = 0;
  for (const chunk of chunks) for (let at = 0; at < chunk.length; at += 4096) sum += chunk[at]!;
  return { records: 0, sum };
}

/** Cut by `Buffer.indexOf`, one slice a line: JSON.parse likes these better than parts of one long string. */
function eachSlice(chunks: Iterable<Buffer>, take: (line: string) => void): void {
  let rest = '';
  for (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      take(rest === '' ? chunk.toString('utf8', start, end) : rest + chunk.toString('utf8', start, end));
      rest = '';
      start = end + 1;
    }
    rest += chunk.toString('utf8', start);
  }
  if (rest !== '') take(rest);
}

function eachLine(chunks: Iterable<Buffer>, take: (line: string) => void): void {
  let rest = '';
  for (const chunk of chunks) {
    const lines = chunk.toString('latin1').split('\n');
    lines[0] = rest + lines[0]!;
    rest = lines.pop()!;
    for (const line of lines) take(line);
  }
  if (rest !== '') take(rest);
}
