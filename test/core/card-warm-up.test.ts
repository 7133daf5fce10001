import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { warmUp } from '#adapters/pcsc/warm-up.ts';
import { parseCardProfile } from '#core/card/profile.ts';

const folder = join(import.meta.dirname, '../../device-config/card-profiles');
const shipped = (name: string) => parse(readFileSync(join(folder, name), 'utf8'));

const twelve = { format: { minimumLength: 12, maximumLength: 12 } };

/** A child that its own warm-up ended would be started again for ever, and nobody would get in. */
test.each<[string, { format?: object; padding?: string; encoding?: string; at?: string }]>([
  ['synthetic-type-a.yaml', twelve],
  ['synthetic-type-a.yaml', { ...twelve, padding: 'none' }],
  ['synthetic-type-c.yaml', twelve],
  ['synthetic-type-a.yaml', {}],
  ['synthetic-type-d.yaml', {}],
  ['synthetic-type-d.yaml', { encoding: 'bcd', padding: 'FF', format: { alphabet: 'digits' } }],
  ['synthetic-type-d.yaml', { at: '70/5F20' }],
])('warming up with %s and %j ends well, whatever it reads', async (name, { format, ...changes }) => {
  const data = shipped(name);
  Object.assign(data.userNumber, changes);
  Object.assign(data.userNumber.format, format);
  const profile = parseCardProfile(data, name);
  await expect(warmUp([profile], () => 0)).resolves.toBeUndefined();
});
