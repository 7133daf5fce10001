import { madeRulesShape } from '#core/access/made-rules.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { exactly, shapeOf } from '#core/shape.ts';
import { accepted, type Checked, documentBytes, readDocument, refused, shapedAs } from './document.ts';

const format = 1;
export const maximumRulesBytes = 16_777_216;
const schema = shapedAs<{ readonly rules: SiteRules }>(
  exactly({ format: shapeOf((value) => value === format), rules: madeRulesShape }),
);

/** The rules of a view as a chunk: the same bytes for the same rules. */
export function rulesBytes(rules: SiteRules): Uint8Array {
  // members that are undefined are none
  return documentBytes({ format, rules: JSON.parse(JSON.stringify(rules)) as JsonValue });
}

/** The rules that somebody sent, of `organization`. Whether they are the ones that the manifest names, its hash tells. */
export function readRules(bytes: Uint8Array, organization: string): Checked<SiteRules> {
  const read = readDocument(bytes, { schema, format, maximumBytes: maximumRulesBytes });
  if (read.kind === 'refused') return read;
  const { rules } = read.value;
  return rules.organization === organization ? accepted(rules) : refused('other-organization');
}
