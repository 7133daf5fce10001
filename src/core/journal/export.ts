import { z } from 'zod';
import type { JournalHead } from './record.ts';
import type { JournalItem } from './verify.ts';

/** Version of the export file; refused when newer. */
export const exportFormatVersion = 1;

const base64 = z.base64().transform((text) => new Uint8Array(Buffer.from(text, 'base64')));
const head = z.strictObject({
  terminal: z.string(),
  incarnation: z.string(),
  sequence: z.int().min(0),
  hash: z.string(),
});

const lineSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('journal-export'),
    formatVersion: z.int(),
    personal: z.boolean(),
  }),
  z.strictObject({ type: z.literal('key'), publicKey: base64 }),
  z.strictObject({
    type: z.literal('entry'),
    raw: base64,
    hash: base64,
    personal: z.array(z.strictObject({ field: z.string(), salt: base64, value: z.string() })).optional(),
  }),
  z.strictObject({ type: z.literal('checkpoint'), raw: base64, signature: base64 }),
  z.strictObject({ type: z.literal('forgotten'), ...head.shape }),
  z.strictObject({ type: z.literal('head'), entries: z.int(), head: head.nullable() }),
]);
/** One line of an export, parsed. */
export type ExportLine = z.output<typeof lineSchema>;

/** First line of an export: whether personal values are in it. */
export function exportHeader(personal: boolean): string {
  return JSON.stringify({ type: 'journal-export', formatVersion: exportFormatVersion, personal });
}

/** One item as a line of an export; bytes in base64, personal values only where `personal` says so. */
export function exportItem(item: JournalItem, personal: boolean): string {
  switch (item.kind) {
    case 'key':
      return JSON.stringify({ type: 'key', publicKey: encode(item.publicKey) });
    case 'checkpoint':
      return JSON.stringify({ type: 'checkpoint', raw: encode(item.raw), signature: encode(item.signature) });
    case 'forgotten': {
      const { terminal, incarnation, sequence, hash } = item;
      return JSON.stringify({ type: 'forgotten', terminal, incarnation, sequence, hash });
    }
    case 'entry': {
      const values = item.personal.map(({ field, salt, value }) => ({ field, salt: encode(salt), value }));
      const line = { type: 'entry', raw: encode(item.raw), hash: encode(item.hash) };
      return JSON.stringify(personal ? { ...line, personal: values } : line);
    }
    default:
      return item satisfies never;
  }
}

/** Last line of an export, without which it was cut off. */
export function exportEnd(entries: number, last: JournalHead | undefined): string {
  return JSON.stringify({ type: 'head', entries, head: last ?? null });
}

/** Parses one line; undefined when it is none of an export of a known version. */
export function parseExportLine(text: string): ExportLine | undefined {
  try {
    const line = lineSchema.safeParse(JSON.parse(text)).data;
    return line?.type === 'journal-export' && line.formatVersion > exportFormatVersion ? undefined : line;
  } catch {
    return undefined;
  }
}

/** The journal item that a line holds; undefined for the first and last line. */
export function itemOfLine(line: ExportLine): JournalItem | undefined {
  switch (line.type) {
    case 'key':
      return { kind: 'key', publicKey: line.publicKey };
    case 'entry':
      return { kind: 'entry', raw: line.raw, hash: line.hash, personal: line.personal ?? [] };
    case 'checkpoint':
      return { kind: 'checkpoint', raw: line.raw, signature: line.signature };
    case 'forgotten': {
      const { type: kind, ...forgotten } = line;
      return { kind, ...forgotten };
    }
    default:
      return undefined;
  }
}

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
