import { z } from 'zod';
import type { JsonValue } from '#core/journal/record.ts';
import { accepted, type Checked, documentBytes, readDocument, refused } from './document.ts';
import { isSignedByRole, type SignedDocument } from './signed.ts';
import { maxPayloadBytes } from './topics.ts';
import { partyId, type TrustRoot } from './trust.ts';

const format = 1;
/** of the signed bytes: as base64 in its envelope it fits one message */
export const longestGroupFacts = 180_000;
/** facts that go into one message; bytes may allow fewer */
export const factsAtOnce = 400;

const json: z.ZodType<JsonValue> = z.json();
/** what a column of every database holds as it is */
const text = (length: number) =>
  z
    .string()
    .min(1)
    .max(length)
    .refine((value) => value.isWellFormed() && !value.includes('\0'));
const fact = {
  key: text(256),
  /** absent: of the terminals as a whole */
  holder: text(256).exactOptional(),
  /** absent: forgotten */
  value: json.exactOptional(),
};
const count = z.int().min(0);

/** How far a terminal has heard what the others of its groups know: a number that one server counted, for one scope. */
const cursorSchema = z.strictObject({
  /** another one each time a server may have forgotten something */
  server: text(64),
  /** of what the rules let this terminal share */
  scope: text(64),
  number: count,
});
export type GroupCursor = z.output<typeof cursorSchema>;

const reportSchema = z.strictObject({
  type: z.literal('group-report'),
  format: z.literal(format),
  incarnation: text(64),
  /** comes back with the answer */
  ask: count,
  heard: cursorSchema.exactOptional(),
  changes: z
    .array(
      z.strictObject({
        ...fact,
        /** grows with each change that this incarnation of the terminal makes */
        n: z.int().min(1),
        atMs: count,
        /** up to where it had heard the others when it decided */
        heard: count,
      }),
    )
    .max(factsAtOnce),
});
/** What a terminal tells of facts that it shares with others. It may come twice, late, and in any order. */
export type GroupReport = z.output<typeof reportSchema>;
export type GroupChange = GroupReport['changes'][number];

export function groupReportBytes(report: Omit<GroupReport, 'type' | 'format'>): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ type: 'group-report', format, ...report }));
}

/** undefined for what is none */
export function readGroupReport(payload: Uint8Array): GroupReport | undefined {
  if (payload.length > maxPayloadBytes) return undefined;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(payload);
    return reportSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

const factsSchema = z.strictObject({
  type: z.literal('group-facts'),
  format: z.literal(format),
  organization: partyId,
  terminal: partyId,
  /** of the report that this answers; absent for what is told unasked */
  answers: z.strictObject({ incarnation: text(64), ask: count }).exactOptional(),
  /** everything after this number, and up to that of `upTo`, is here */
  from: count,
  upTo: cursorSchema,
  /** there is more after it */
  more: z.boolean(),
  facts: z
    .array(
      z.strictObject({
        ...fact,
        /** the last change of this terminal that is in it */
        own: z.strictObject({ incarnation: text(64), n: z.int().min(1) }).exactOptional(),
      }),
    )
    .max(factsAtOnce),
});
/** What holds of facts that a terminal shares with others, as the server has joined them. */
export type GroupFacts = z.output<typeof factsSchema>;

/** The bytes to sign. */
export function groupFactsBytes(content: Omit<GroupFacts, 'type' | 'format'>): Uint8Array {
  return documentBytes({ ...content, type: 'group-facts', format });
}

/** Whether a terminal believes them: signed in the role `policy`, for itself. */
export function checkGroupFacts(
  document: SignedDocument,
  { root, terminal }: { readonly root: TrustRoot; readonly terminal: string },
): Checked<GroupFacts> {
  if (document.raw.length > longestGroupFacts) return refused('oversize');
  if (!isSignedByRole(document, root.roles.policy)) return refused('signatures-insufficient');
  const read = readDocument(document.raw, { schema: factsSchema, format, maximumBytes: longestGroupFacts });
  if (read.kind === 'refused') return read;
  if (read.value.organization !== root.organization) return refused('other-organization');
  if (read.value.terminal !== terminal) return refused('other-terminal');
  return accepted(read.value);
}
