import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const docs = readFileSync(join(import.meta.dirname, '../../docs/rules.md'), 'utf8');

/** First cells of the tables in each section, without the marks of code. */
function rows(): ReadonlyMap<string, readonly string[]> {
  const sections = docs.split(/^## /m).slice(1);
  return new Map(
    sections.flatMap((text) => {
      const cells = [...text.matchAll(/^\| *(.+?) *\|.*\n/gm)].map((match) => match[1] ?? '');
      const names = cells.filter((cell, at) => !/^-+$/.test(cell) && !/^-+/.test(cells[at + 1] ?? ''));
      const title = text.slice(0, text.indexOf('\n'));
      return names.length === 0 ? [] : [[title, names.map((name) => name.replaceAll('`', ''))]];
    }),
  );
}

/** Names of the rules that the stories in this folder are of, by section. */
function told(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const file of readdirSync(import.meta.dirname)) {
    const text = readFileSync(join(import.meta.dirname, file), 'utf8');
    const section = /^const rule = rulesOf\('(.+)'\);$/m.exec(text)?.[1];
    if (section === undefined) continue;
    const names = [...text.matchAll(/^rule\(\s*'(.+)',/gm)].map((match) => match[1] ?? '');
    found.set(section, [...(found.get(section) ?? []), ...names]);
  }
  return found;
}

describe('the table of rules', () => {
  it('has a row for all stories, which are told once', () => {
    for (const [section, names] of told()) {
      expect(rows().get(section)).toEqual(expect.arrayContaining([...names]));
      expect(new Set(names).size, section).toBe(names.length);
    }
  });

  it.each([...rows().keys()])('%s: each row has its stories', (section) => {
    expect([...(told().get(section) ?? [])].sort()).toEqual([...(rows().get(section) ?? [])].sort());
  });
});
