import { z } from 'zod';
import type { JsonValue } from '#core/journal/record.ts';
import { accepted, type Checked, documentBytes, readDocument, refused } from './document.ts';
import { chainPositionSchema } from './journal-batch.ts';
import { organizationName, type TerminalIdentity, terminalName } from './terminal-identity.ts';

const format = 1;
/** of one message */
export const mostLiveEvents = 50;
export const maximumLiveBytes = 65_536;

const schema = z.strictObject({
  type: z.literal('live-events'),
  format: z.literal(format),
  organization: organizationName,
  terminal: terminalName,
  /** in no order that means anything: alarms of hours ago come before what happens now */
  events: z
    .array(
      z.strictObject({
        incarnation: chainPositionSchema.shape.incarnation,
        sequence: z.int().min(1),
        atMs: z.number(),
        clock: z.string(),
        kind: z.string(),
        tapId: z.string().exactOptional(),
        body: z.record(z.string(), z.json()),
      }),
    )
    .min(1)
    .max(mostLiveEvents),
});

/** Entries of a journal without what is personal in them, told as they are written. */
export type LiveEvent = z.output<typeof schema>['events'][number];

/**
 * What happens at a terminal, for whoever watches it now. Nothing is vouched for, and what does not get through is not
 * said again: the journal tells everything later.
 */
export interface LiveEvents extends TerminalIdentity {
  readonly events: readonly LiveEvent[];
}

/** The bytes to send; may be more than `maximumLiveBytes`, which nobody reads. */
export function encodeLiveEvents({ organization, terminal, events }: LiveEvents): Uint8Array {
  const value = { type: 'live-events', format, organization, terminal, events };
  return documentBytes(value as unknown as JsonValue);
}

/** What a terminal told, which `from` is by its certificate. */
export function decodeLiveEvents(payload: Uint8Array, from: TerminalIdentity): Checked<LiveEvents> {
  const read = readDocument(payload, { schema, format, maximumBytes: maximumLiveBytes });
  if (read.kind === 'refused') return read;
  const { organization, terminal, events } = read.value;
  if (organization !== from.organization) return refused('other-organization');
  if (terminal !== from.terminal) return refused('other-terminal');
  return accepted({ organization, terminal, events });
}
