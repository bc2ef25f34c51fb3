/** Line plots as SVG, both axes logarithmic: how cost grows. Drawn by hand, so that nothing is needed to draw them. */

/** One line of a plot. */
export interface Series {
  readonly name: string;
  /** Sorted by x; both positive. */
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

/** What a plot shows. */
export interface Plot {
  readonly name: string;
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly Series[];
}

const WIDTH = 680;
const HEIGHT = 380;
const LEFT = 76;
const RIGHT = 130;
const TOP = 58;
const BOTTOM = 56;
/** Told apart without colour too: by place, and by the name at the end of each line. */
const COLOURS = ['#0b6e99', '#b5460f', '#4d7c0f', '#7b3fa0', '#8a6d00', '#44546a'];

/** The plot as a document. */
export function drawPlot({ title, xLabel, yLabel, series }: Plot): string {
  const all = series.flatMap(({ points }) => points);
  const [xFrom, xTo] = decades(all.map(({ x }) => x));
  const [yFrom, yTo] = decades(all.map(({ y }) => y));
  const atX = (x: number): number => LEFT + ((Math.log10(x) - xFrom) / (xTo - xFrom)) * (WIDTH - LEFT - RIGHT);
  const atY = (y: number): number =>
    HEIGHT - BOTTOM - ((Math.log10(y) - yFrom) / (yTo - yFrom)) * (HEIGHT - TOP - BOTTOM);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" font-family="system-ui, sans-serif" font-size="12">`,
    `<title>${escape(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="24" font-size="15" font-weight="600" fill="#1c2733">${escape(title)}</text>`,
  ];
  for (let power = xFrom; power <= xTo; power++) {
    const x = round(atX(10 ** power));
    parts.push(`<line x1="${x}" y1="${TOP}" x2="${x}" y2="${HEIGHT - BOTTOM}" stroke="#e3e8ee"/>`);
    parts.push(`<text x="${x}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#44546a">${tick(power)}</text>`);
  }
  for (let power = yFrom; power <= yTo; power++) {
    const y = round(atY(10 ** power));
    parts.push(`<line x1="${LEFT}" y1="${y}" x2="${WIDTH - RIGHT}" y2="${y}" stroke="#e3e8ee"/>`);
    parts.push(`<text x="${LEFT - 8}" y="${y + 4}" text-anchor="end" fill="#44546a">${tick(power)}</text>`);
  }
  const middle = (LEFT + WIDTH - RIGHT) / 2;
  parts.push(`<text x="${middle}" y="${HEIGHT - 14}" text-anchor="middle" fill="#1c2733">${escape(xLabel)}</text>`);
  parts.push(`<text x="${LEFT - 8}" y="${TOP - 18}" text-anchor="end" fill="#1c2733">${escape(yLabel)}</text>`);
  const labels = placeLabels(series.map(({ points }) => atY(points.at(-1)!.y)));
  series.forEach(({ name, points }, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const path = points.map(({ x, y }, at) => `${at === 0 ? 'M' : 'L'}${round(atX(x))} ${round(atY(y))}`).join('');
    parts.push(`<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const { x, y } of points)
      parts.push(`<circle cx="${round(atX(x))}" cy="${round(atY(y))}" r="3.5" fill="${colour}"/>`);
    const end = points.at(-1)!;
    parts.push(
      `<text x="${round(atX(end.x) + 10)}" y="${round(labels[index]! + 4)}" fill="${colour}">${escape(name)}</text>`,
    );
  });
  return `${parts.join('\n')}\n</svg>\n`;
}

/** Heights for the names at the lines' ends, at least a line of text apart. */
function placeLabels(heights: readonly number[]): number[] {
  const order = heights.map((_, index) => index).sort((a, b) => heights[a]! - heights[b]!);
  const placed = [...heights];
  for (let at = 1; at < order.length; at++)
    placed[order[at]!] = Math.max(placed[order[at]!]!, placed[order[at - 1]!]! + 15);
  return placed;
}

/** The powers of ten around the values, at least one apart. */
function decades(values: readonly number[]): [number, number] {
  const from = Math.floor(Math.log10(Math.min(...values)) + 1e-9);
  const to = Math.ceil(Math.log10(Math.max(...values)) - 1e-9);
  return [from, Math.max(to, from + 1)];
}

function tick(power: number): string {
  if (power < 0) return String(10 ** power);
  if (power < 6) return (10 ** power).toLocaleString('en');
  return power < 9 ? `${(10 ** (power - 6)).toLocaleString('en')} M` : `${(10 ** (power - 9)).toLocaleString('en')} G`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
