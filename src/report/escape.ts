/**
 * Makes untrusted text harmless for the medium it is printed to: terminals, CSV and Markdown cells, JSON. Everything that
 * report prints and did not write itself passes through here.
 */

/** Cc, Cf (bidi overrides, zero widths, tags), separators that break lines, and lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Characters that begin a formula in a spreadsheet, with their full-width forms. */
const FORMULA_STARTS = '=+-@\t\r\n＝＋－＠';

/** Spells every character that a terminal would act on, or not show, as `\x1b` or `\u202e`. */
export function escapeControl(text: string): string {
  return text.replace(UNPRINTABLE, spellCodePoint);
}

/**
 * One CSV cell of text: a leading `'` where a spreadsheet would see a formula (also behind spaces), quotes where the cell
 * holds a separator, a quote, a line break or outer spaces. Control characters are escaped first.
 */
export function csvCell(text: string): string {
  const start = text.trimStart()[0] ?? '';
  const isFormula = FORMULA_STARTS.includes(text[0] ?? ' ') || (start !== '' && FORMULA_STARTS.includes(start));
  const safe = (isFormula ? "'" : '') + escapeControl(text);
  return /[",;]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/**
 * Text for a Markdown table cell or sentence: whatever could open a cell, code, HTML, a link, an image, emphasis, a mention
 * or an issue reference becomes an entity, so that it shows as itself in every renderer.
 */
export function markdownCell(text: string): string {
  return escapeControl(text)
    .replace(/[&|`<>[\]!*_~#@\\$]/g, (character) => `&#${character.charCodeAt(0)};`)
    .replaceAll('://', '&#58;//')
    .replace(/www\./gi, (match) => `${match.slice(0, 3)}&#46;`);
}

/** JSON on one line, or indented by two; characters that a terminal acts on are written as `\uXXXX`, the value is the same. */
export function jsonText(value: unknown, layout: 'line' | 'indented'): string {
  const text = JSON.stringify(value, undefined, layout === 'indented' ? 2 : undefined);
  // JSON.stringify has escaped what lies below a blank; the line breaks that are left are its own.
  return text.replace(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu, spellUnits);
}

function spellCodePoint(character: string): string {
  const code = character.codePointAt(0)!;
  if (code === 9) return '\\t';
  if (code === 10) return '\\n';
  if (code === 13) return '\\r';
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\u{${code.toString(16)}}`;
}

function spellUnits(character: string): string {
  let text = '';
  for (let index = 0; index < character.length; index++)
    text += `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
  return text;
}
