import type { JsonValue } from './record.ts';

/**
 * JSON text that is the same for equal values: members sorted by UTF-16 code units, no white space, numbers as
 * ECMAScript writes them (RFC 8785). Throws TypeError for anything JSON cannot hold, so that no value is ever
 * recorded as something else.
 */
export function canonicalJson(value: JsonValue): string {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError('a number that is not finite has no JSON form');
    return JSON.stringify(value);
  }
  if (typeof value !== 'object') throw new TypeError(`a ${typeof value} has no JSON form`);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = value as { readonly [key: string]: JsonValue };
  const parts = Object.keys(members)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(members[key] as JsonValue)}`);
  return `{${parts.join(',')}}`;
}
