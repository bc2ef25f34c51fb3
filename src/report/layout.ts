/** Plain-text layout: colour, wrapping and aligned columns. Widths are counted before colour is added. */

/** Colours by meaning; each gives its text back unchanged where colour is off. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  bad(text: string): string;
  warn(text: string): string;
  accent(text: string): string;
}

/** Whether a report may use SGR escapes. */
export type ColorMode = 'always' | 'never';

/** Columns of a page of default text output. */
export const PAGE_WIDTH = 100;

/** The style for a colour mode. */
export function createStyle(color: ColorMode): Style {
  const sgr =
    (open: number, close: number) =>
    (text: string): string =>
      color === 'never' || text === '' ? text : `\u001b[${open}m${text}\u001b[${close}m`;
  return {
    bold: sgr(1, 22),
    dim: sgr(2, 22),
    good: sgr(32, 39),
    bad: sgr(31, 39),
    warn: sgr(33, 39),
    accent: sgr(36, 39),
  };
}

/** Breaks text at spaces so that no line is wider than `width`; a single word that is wider stays whole. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line === '') line = word;
    else if (line.length + 1 + word.length <= width) line += ` ${word}`;
    else {
      lines.push(line);
      line = word;
    }
  }
  lines.push(line);
  return lines;
}

/** Wraps a text behind a first prefix; the lines after the first hang under the text. */
export function hang(prefix: string, text: string, width: number = PAGE_WIDTH): string[] {
  const indent = ' '.repeat(prefix.length);
  return wrap(text, Math.max(20, width - prefix.length)).map((line, index) => (index === 0 ? prefix : indent) + line);
}

/** Rows of cells as aligned lines, two spaces between columns; `alignment` has `l` or `r` for each column. */
export function alignColumns(rows: readonly (readonly string[])[], alignment: string): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  return rows.map((row) =>
    row
      .map((cell, column) =>
        alignment[column] === 'r' ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd(),
  );
}
