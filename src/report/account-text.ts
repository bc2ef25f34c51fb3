/** The accounting of a replay: what became of every record that was read, and whether the counters add up. */
import type { ReplayResult } from '../replay/result.ts';
import { type ColorMode, type Style, createStyle, hang } from './layout.ts';
import { type Names, createTextNames } from './name.ts';
import { formatBytes, formatCount, formatCounted, formatPercent } from './quantity.ts';

type Account = ReplayResult['accounts'][number];

/** The sums over all inputs, with the checks that independent counters allow. */
export interface Balance {
  readonly read: number;
  readonly used: number;
  readonly skipped: number;
  readonly malformed: number;
  readonly lost: number;
  readonly rows: number;
  /** `yes` where read = used + skipped + malformed in every input, and replay took in as many rows as were used. */
  readonly addsUp: 'yes' | 'no';
}

/** Malformed records shown in text output, of those kept in the account. */
const MALFORMED_LISTED = 5;

/** Sums the accounts and checks them against each other. */
export function balanceOf(result: ReplayResult): Balance {
  let [read, used, skipped, malformed, lost] = [0, 0, 0, 0, 0];
  let isBalanced = true;
  for (const account of result.accounts) {
    read += account.read;
    used += account.used;
    skipped += sum(account.skipped);
    malformed += sum(account.malformed);
    lost += account.lost;
    isBalanced &&= account.read === account.used + sum(account.skipped) + sum(account.malformed);
  }
  return {
    read,
    used,
    skipped,
    malformed,
    lost,
    rows: result.rows,
    addsUp: isBalanced && result.rows === used ? 'yes' : 'no',
  };
}

/** An entry of `TraceAccount.unknownValues`. */
export function unknownValueText(entry: string, names: Names): string {
  const at = entry.indexOf('=') + 1;
  return names.sentence(entry.slice(0, at)) + names.show('value', entry.slice(at));
}

/** A block for each input and the check over all of them. */
export function accountLines(result: ReplayResult, names: Names, style: Style): string[] {
  const balance = balanceOf(result);
  const lines = [style.bold('Accounting'), ...result.accounts.flatMap((account) => accountBlock(account, names))];
  if (result.accounts.length > 1)
    lines.push(
      ...hang(
        '  in all: ',
        `${formatCount(balance.read)} read = ${formatCount(balance.used)} used + ${formatCount(balance.skipped)} skipped + ${formatCount(balance.malformed)} malformed`,
      ),
    );
  lines.push(
    balance.addsUp === 'yes'
      ? style.dim(`  It adds up, and the replay took in the same ${formatCounted(balance.rows, 'row')}.`)
      : style.bad(
          `  It does NOT add up (the replay took in ${formatCounted(balance.rows, 'row')}): this is a defect of dropcast, please report it.`,
        ),
  );
  return lines;
}

/** What `convert` says about its inputs: a line for all, or `explained` a block for each with what it cannot show. */
export function formatAccounts(
  accounts: readonly Account[],
  rows: number,
  { extent, color }: { readonly extent: 'brief' | 'explained'; readonly color: ColorMode },
): string {
  const names = createTextNames();
  const style = createStyle(color);
  const read = accounts.reduce((total, account) => total + account.read, 0);
  const lines = [`${formatCounted(read, 'record')} read, ${formatCounted(rows, 'row')} written`];
  if (extent === 'explained') {
    for (const account of accounts) {
      lines.push(...accountBlock(account, names));
      for (const limit of account.limits) lines.push(...hang('    - ', names.sentence(limit)));
    }
  }
  return `${lines.map((line, index) => (index === 0 ? style.bold(line) : line)).join('\n')}\n`;
}

/** The last line of every text report. */
export function completenessLine(result: ReplayResult, style: Style): string {
  const { read, malformed, lost } = balanceOf(result);
  const understood = read - malformed;
  const line = `${formatCount(understood)} of ${formatCounted(read, 'record')} understood (${formatPercent(understood, read)}), ${formatCount(lost)} lost: result is ${result.isComplete ? 'complete' : 'incomplete'}`;
  return result.isComplete ? style.good(line) : style.warn(line);
}

function accountBlock(account: Account, names: Names): string[] {
  const containers = account.containers.length === 0 ? '' : `, ${account.containers.join(', ')}`;
  const name = account.file === '-' ? 'stdin' : names.show('file', account.file);
  const title = `${name} (${account.format}${containers}, ${formatBytes(account.bytes)})`;
  const sums = `${formatCount(account.read)} read = ${formatCount(account.used)} used + ${counterText(account.skipped, 'skipped', names)} + ${counterText(account.malformed, 'malformed', names)}`;
  const lines = [...hang('  ', title), ...hang('    ', sums)];
  if (account.lost > 0)
    lines.push(...hang('    ', `${formatCount(account.lost)} lost before they reached the trace, as the source says`));
  if (account.unknownValues.size > 0)
    lines.push(...hang('    ', `values not known to the reader: ${unknownText(account.unknownValues, names)}`));
  for (const diagnostic of account.diagnostics.slice(0, MALFORMED_LISTED))
    lines.push(...hang('    - ', malformedText(diagnostic, names)));
  const rest = account.diagnostics.length - MALFORMED_LISTED;
  if (rest > 0) lines.push(`    -o json shows the first ${account.diagnostics.length}`);
  return lines;
}

/** Messages of readers begin with the place; redacted, they give way to the code and the line. */
function malformedText(diagnostic: Account['diagnostics'][number], names: Names): string {
  if (names.mode === 'plain') return names.sentence(diagnostic.message);
  return diagnostic.line === undefined ? diagnostic.code : `line ${diagnostic.line}: ${diagnostic.code}`;
}

function counterText(counter: ReadonlyMap<string, number>, word: string, names: Names): string {
  const count = `${formatCount(sum(counter))} ${word}`;
  return counter.size === 0 ? count : `${count} (${entriesText(counter, names)})`;
}

/** `field=value` entries; the value comes from the trace, the field from the reader. */
function unknownText(counter: ReadonlyMap<string, number>, names: Names): string {
  return [...counter].map(([entry, count]) => `${unknownValueText(entry, names)} ${formatCount(count)}`).join(', ');
}

function entriesText(counter: ReadonlyMap<string, number>, names: Names): string {
  return [...counter]
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${names.sentence(name)} ${formatCount(count)}`)
    .join(', ');
}

function sum(counter: ReadonlyMap<string, number>): number {
  let total = 0;
  for (const count of counter.values()) total += count;
  return total;
}
