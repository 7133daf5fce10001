import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Chart {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
}

export interface Report {
  readonly title: string;
  readonly facts: readonly (readonly [what: string, value: string])[];
  readonly charts: readonly Chart[];
}

const [width, height, left, bottom, top] = [860, 300, 64, 40, 14];
const colors = ['#0b5cad', '#c2410c', '#15803d', '#7e22ce'];

/** Writes a page that needs nothing else: facts, charts, and the figures of each chart as a table. */
export function writeReport(file: string, { title, facts, charts }: Report): void {
  const rows = facts.map(
    ([what, value]) => `<tr><th scope="row">${text(what)}</th><td>${text(value)}</td></tr>`,
  );
  const page = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>${text(title)}</title>
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2937}
th{text-align:left;font-weight:600;padding-right:1.5rem}td{text-align:right;font-variant-numeric:tabular-nums}svg{width:100%;height:auto}</style>
<h1>${text(title)}</h1>
<table>${rows.join('')}</table>
${charts.map(drawn).join('\n')}
</html>
`;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, page);
}

function drawn(chart: Chart): string {
  const all = chart.series.flatMap(({ points }) => points);
  const mostX = Math.max(1, ...all.map(([x]) => x));
  const mostY = roundUp(Math.max(1, ...all.map(([, y]) => y)));
  const atX = (x: number) => left + (x / mostX) * (width - left - 10);
  const atY = (y: number) => height - bottom - (y / mostY) * (height - bottom - top);
  const lines = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const [y, label] = [atY(part * mostY), figure(part * mostY)];
    return `<line x1="${left}" x2="${width - 10}" y1="${y}" y2="${y}" stroke="#e5e7eb"/><text x="${left - 8}" y="${y + 4}" text-anchor="end">${label}</text>`;
  });
  const marks = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    return `<text x="${atX(part * mostX)}" y="${height - bottom + 18}" text-anchor="middle">${figure(part * mostX)}</text>`;
  });
  const curves = chart.series.map(({ name, points }, index) => {
    const path = points.map(([x, y]) => `${atX(x).toFixed(1)},${atY(y).toFixed(1)}`).join(' ');
    const color = colors[index % colors.length];
    return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2"/><text x="${left + 10 + 190 * index}" y="${top + 4}" fill="${color}">${text(name)}</text>`;
  });
  return `<h2>${text(chart.title)}</h2>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${text(chart.title)}" font-size="12" fill="#374151">
${[...lines, ...marks, ...curves].join('\n')}
<text x="${(width + left) / 2}" y="${height - 4}" text-anchor="middle">${text(`${chart.x} → ${chart.y}`)}</text>
</svg>
${table(chart)}`;
}

function table({ x, series }: Chart): string {
  const xs = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
  const known = series.map(({ points }) => new Map(points));
  const cells = (at: number) =>
    known.map((points) => `<td>${figure(points.get(at) ?? Number.NaN)}</td>`).join('');
  const rows = xs.map((at) => `<tr><th scope="row">${figure(at)}</th>${cells(at)}</tr>`);
  const heads = [x, ...series.map(({ name }) => name)].map((name) => `<th scope="col">${text(name)}</th>`);
  return `<details><summary>The figures</summary><table><tr>${heads.join('')}</tr>${rows.join('')}</table></details>`;
}

function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return (([1, 2, 2.5, 5, 10].find((step) => step * power >= value) ?? 10) as number) * power;
}

function figure(value: number): string {
  if (Number.isNaN(value)) return '';
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 2 : 0 });
}

function text(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
