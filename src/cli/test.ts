/** `dropcast test`: policy unit tests, one verdict a row. */
import { UnknownName } from '../model/evaluator.ts';
import type { Flow } from '../model/flow.ts';
import type { ExpectationResult } from '../report/expectation.ts';
import { type ClusterOptions, printDiagnostics, readCluster } from './cluster.ts';
import { ExitCode, Refusal } from './exit.ts';
import { readText } from './input.ts';
import { unknownNameText } from './suggestion.ts';
import { type Io, colorOf } from './terminal.ts';

/** Flags as parsed; see `dropcast test --help`. */
export interface TestFlags extends ClusterOptions {
  readonly output: 'text' | 'json';
}

/** Runs the command: 1 where a row fails, 2 where a row names nothing or cannot be read. */
export async function runTest(files: readonly string[], flags: TestFlags, io: Io): Promise<ExitCode> {
  if ([...flags.file, ...files].filter((path) => path === '-').length > 1)
    throw new Refusal('stdin (-) can be read once');
  const { snapshot, policies, dialect, redact } = await readCluster(flags, io);
  const [{ compile }, { explain }, { judge }, { readExpectations }, { countOutcomes, formatExpectations }] =
    await Promise.all([
      import('../compile/compile.ts'),
      import('../decide/explain.ts'),
      import('../decide/judge.ts'),
      import('../manifest/expectation.ts'),
      import('../report/expectation.ts'),
    ]);
  const program = compile(snapshot, policies, dialect);
  const results: ExpectationResult[] = [];
  let unread = 0;
  let emptyFiles = 0;
  for (const file of files) {
    const { rows, diagnostics } = readExpectations(await readText(file, io), file, flags.namespace);
    await printDiagnostics(diagnostics, io, redact);
    // A row is one, however much is wrong with it.
    unread += new Set(diagnostics.filter(({ severity }) => severity === 'error').map(({ line }) => line)).size;
    if (rows.length === 0) emptyFiles++;
    for (const row of rows) {
      const { line, text, expect } = row;
      const judged = judgeRow(row);
      results.push({ file: row.file, line, text, expect, ...judged });
    }
  }
  await io.stdout.write(
    formatExpectations(results, {
      format: flags.output,
      color: colorOf(io.stdout, io.env),
      unread,
      ...(redact && { redact }),
    }),
  );
  const { failed, errors } = countOutcomes(results, unread);
  const [code, sentence] = endOf();
  if (sentence !== undefined) await io.stderr.write(`dropcast: ${sentence}\n`);
  return code;

  /** The exit code, and why it is not 0. */
  function endOf(): readonly [ExitCode, string?] {
    if (errors === 1)
      return [ExitCode.Refused, '1 row could not be judged: it names nothing in the input, or cannot be read'];
    if (errors > 0)
      return [
        ExitCode.Refused,
        `${errors} rows could not be judged: they name nothing in the input, or cannot be read`,
      ];
    if (emptyFiles > 0) {
      const which = emptyFiles === files.length ? '' : `${emptyFiles} of ${files.length} files: `;
      return [ExitCode.Refused, `${which}no rows: an empty test proves nothing`];
    }
    if (failed > 0)
      return [ExitCode.Finding, `${failed} of ${results.length} row${results.length === 1 ? '' : 's'} failed`];
    return [ExitCode.Fine];
  }

  /** The hot path decides, its slow twin explains; they must not differ. */
  function judgeRow(flow: Flow): Pick<ExpectationResult, 'explanation' | 'error'> {
    try {
      const decision = judge(program, flow);
      const explanation = explain(program, flow);
      if (decision.verdict !== explanation.verdict)
        return { error: 'dropcast contradicts itself here (judge and explain differ): please report this row' };
      return { explanation };
    } catch (error) {
      if (error instanceof UnknownName)
        return { error: `${unknownNameText(error, redact ? undefined : snapshot)} [unknown-name]` };
      throw error;
    }
  }
}
