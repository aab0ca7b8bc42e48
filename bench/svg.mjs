/** Bar charts as SVG, by hand: horizontal bars from a base line, with marks for what was promised. Text is in the page's own colours. */

const escaped = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
const [rowHeight, labelWidth, plotWidth, valueWidth, top] = [18, 300, 420, 70, 46];
const colours = { good: '#2a7f62', bad: '#b5482f', mark: '#7a7a7a', grid: '#d0d0d0' };

const text = (x, y, content, anchor = 'start', more = '') =>
  `<text x="${x}" y="${y}" text-anchor="${anchor}" ${more}>${escaped(content)}</text>`;

/**
 * @param {{ title: string, subtitle: string, bars: { label: string, value: number, median?: number, mark?: number }[], ticks: number[], base: number,
 *   logarithmic?: boolean }} chart bars begin at `base`; those below it point to the left, in the other colour; a line shows the median
 * @returns {string} the SVG document
 */
export function barChart({ title, subtitle, bars, ticks, base, logarithmic = false }) {
  const scale = logarithmic ? Math.log : (value) => value;
  const [low, high] = [scale(ticks[0]), scale(ticks.at(-1))];
  const at = (value) => {
    const place = (scale(value) - low) / (high - low);
    return labelWidth + plotWidth * Math.min(1, Math.max(0, place));
  };
  const height = top + rowHeight * bars.length + 26;
  const bottom = height - 24;
  const lines = ticks.map((tick) => {
    const x = at(tick).toFixed(1);
    const line = `<line x1="${x}" x2="${x}" y1="${top - 4}" y2="${bottom}" stroke="${colours.grid}"/>`;
    return line + text(x, bottom + 14, String(tick), 'middle', 'class="small"');
  });
  const drawn = bars.map(({ label, value, median, mark }, i) => {
    const y = top + rowHeight * i;
    const [from, to] = [Math.min(at(base), at(value)), Math.max(at(base), at(value))];
    const colour = value < (mark ?? base) ? colours.bad : colours.good;
    const vertical = (x, stroke) =>
      `<line x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${y}" y2="${y + 14}" stroke="${stroke}" stroke-width="2"/>`;
    return [
      text(labelWidth - 8, y + 11, label, 'end'),
      `<rect x="${from.toFixed(1)}" y="${y + 2}" width="${(to - from).toFixed(1)}" height="10" fill="${colour}"/>`,
      median === undefined ? '' : vertical(at(median), '#ffffff'),
      mark === undefined ? '' : vertical(at(mark), colours.mark),
      text(labelWidth + plotWidth + 8, y + 11, value.toFixed(2)),
    ].join('');
  });
  const width = labelWidth + plotWidth + valueWidth;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    '<style>text{font:12px sans-serif;fill:#222}.small{font-size:10px}.title{font-weight:bold;font-size:14px}</style>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(12, 18, title, 'start', 'class="title"'),
    text(12, 34, subtitle, 'start', 'class="small"'),
    ...lines,
    ...drawn,
    '</svg>',
    '',
  ].join('\n');
}
