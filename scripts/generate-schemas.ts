import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import { cardProfileSchema } from '#core/card/profile.ts';
import { keySourceSchema } from '#core/config/key-source.ts';
import { jsonSchemaOf } from '#core/config/parameter-sheet.ts';
import { terminalConfigSchema } from '#core/config/terminal-config.ts';
import { issuanceConfigSchema } from '#issuance/config.ts';

/** The JSON Schemas of device-config/schemas, by file name: editors check and complete YAML with them. */
export const schemas: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({
    'terminal.schema.json': terminalConfigSchema,
    'card-profile.schema.json': cardProfileSchema,
    'site-rules.schema.json': siteRulesSchema,
    'key-source.schema.json': keySourceSchema,
    'issuance.schema.json': issuanceConfigSchema,
  }).map(([name, schema]) => [name, `${JSON.stringify(jsonSchemaOf(schema), null, 2)}\n`]),
);

if (import.meta.main) {
  const folder = resolve(import.meta.dirname, '../device-config/schemas');
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(schemas)) writeFileSync(join(folder, name), text);
}
