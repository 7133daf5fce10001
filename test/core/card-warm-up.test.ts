import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { warmUp } from '#adapters/pcsc/warm-up.ts';
import { parseCardProfile } from '#core/card/profile.ts';

const folder = join(import.meta.dirname, '../../device-config/card-profiles');
const shipped = (name: string) => parse(readFileSync(join(folder, name), 'utf8'));

/** A child that its own warm-up ended would be started again for ever, and nobody would get in. */
test.each([
  ['synthetic-type-a.yaml', { minimumLength: 12, maximumLength: 12 }],
  ['synthetic-type-a.yaml', { minimumLength: 12, maximumLength: 12, padding: 'none' }],
  ['synthetic-type-c.yaml', { minimumLength: 12, maximumLength: 12 }],
  ['synthetic-type-a.yaml', {}],
])(
  'warming up with %s and %j ends well, whatever it reads',
  async (name, {
    padding,
    ...format
  }: {
    padding?: string;
    minimumLength?: number;
    maximumLength?: number;
  }) => {
    const data = shipped(name);
    Object.assign(data.userNumber.format, format);
    if (padding !== undefined) data.userNumber.padding = padding;
    const profile = parseCardProfile(data, name);
    await expect(warmUp([profile], () => 0)).resolves.toBeUndefined();
  },
);
