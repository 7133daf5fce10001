import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { terminalConfigSchema } from '#core/config/terminal-config.ts';

const docs = readFileSync(join(import.meta.dirname, '../../docs/rules.md'), 'utf8');
const table = docs.slice(docs.indexOf('| setting |'), docs.indexOf('## Inputs and outputs'));
/** `name: default` with what else it may be. */
const documented = new Map(
  [...table.matchAll(/`(\w+): ([^`[]+)` \(([^)]+)\)/g)].map(([, name = '', standard = '', others = '']) => [
    name,
    { standard, others },
  ]),
);
const { id: _, hardware: __, zones: ___, ...settings } = terminalConfigSchema.shape.doors.element.shape;

describe('the settings of a door in the table of rules', () => {
  it('are all there are', () => {
    expect([...documented.keys()].toSorted()).toEqual(Object.keys(settings).toSorted());
  });

  it.each(Object.entries<z.ZodType>(settings))(
    '%s has the default and the limits that it tells',
    (name, setting) => {
      const { standard, others } = documented.get(name) ?? { standard: '', others: '' };
      expect(setting.parse(undefined)).toBe(setting.parse(standard));
      const [least, most] = others.split(' to ');
      if (least === undefined || most === undefined) {
        const all = new Set([standard, ...[...others.matchAll(/`([^`]+)`/g)].map(([, other]) => other)]);
        expect(new Set((setting as z.ZodDefault<z.ZodEnum>).unwrap().options)).toEqual(all);
        return;
      }
      const [leastMs, mostMs] = [setting.parse(least), setting.parse(most)];
      expect(setting.safeParse(`${Number(leastMs) - 1} ms`).success).toBe(false);
      expect(setting.safeParse(`${Number(mostMs) + 1} ms`).success).toBe(false);
    },
  );
});
