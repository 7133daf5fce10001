import { z } from 'zod';
import type { JsonValue } from '#core/journal/record.ts';
import {
  type Checked,
  type DocumentRefusal,
  documentBytes,
  documentRefusals,
  readDocument,
  refused,
} from './document.ts';
import { chainPositionSchema } from './journal-batch.ts';
import { organizationName, type TerminalIdentity, terminalName } from './terminal-identity.ts';

const format = 1;
const maximumBytes = 4_096;

const schema = z.strictObject({
  type: z.literal('journal-acknowledgement'),
  format: z.literal(format),
  organization: organizationName,
  terminal: terminalName,
  /**
   * The entry to go on behind: all up to it is stored for good. It may be before one that was acknowledged already,
   * where entries are to be compared. Absent where a batch says nothing that could be understood.
   */
  position: chainPositionSchema.exactOptional(),
  /** the last entry of that incarnation whose checkpoint is stored; 0 is none */
  signedThrough: z.int().min(0),
  /** batches that may be under way at once */
  credit: z.int().min(1).max(1_000),
  /** how long to send nothing, in milliseconds */
  returnAfterMs: z.int().min(0).max(86_400_000),
  /** why a batch was not taken: to be told to whoever looks after the terminal */
  refused: z.enum(documentRefusals).exactOptional(),
});

/** What the server has of a journal, and how much of it the server takes now. */
export interface JournalAcknowledgement extends TerminalIdentity {
  readonly position?: z.output<typeof chainPositionSchema>;
  readonly signedThrough: number;
  readonly credit: number;
  readonly returnAfterMs: number;
  readonly refused?: DocumentRefusal;
}

export function encodeAcknowledgement(acknowledgement: JournalAcknowledgement): Uint8Array {
  const value = { type: 'journal-acknowledgement', format, ...acknowledgement };
  return documentBytes(value as unknown as JsonValue);
}

/** What the server sent to `to`. Its authenticity is that of the connection to the broker. */
export function decodeAcknowledgement(
  payload: Uint8Array,
  to: TerminalIdentity,
): Checked<JournalAcknowledgement> {
  const read = readDocument(payload, { schema, format, maximumBytes });
  if (read.kind === 'refused') return read;
  const { type: _type, format: _format, ...acknowledgement } = read.value;
  if (acknowledgement.organization !== to.organization) return refused('other-organization');
  if (acknowledgement.terminal !== to.terminal) return refused('other-terminal');
  return { kind: 'accepted', value: acknowledgement };
}
