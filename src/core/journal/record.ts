import type { StateChange } from '#core/access/access-state.ts';

/** Version of the entry format; stored in every entry, verified by every reader of it. */
export const journalFormatVersion = 1;

/** What kind of thing an entry records. Kinds a reader does not know are kept verbatim. */
export const journalKinds = [
  'decision',
  'actuation',
  'door',
  'reader',
  'terminal',
  'policy',
  'clock',
  'alarm',
  'automation',
  'timing',
  'administration',
  'command',
] as const;
export type JournalKind = (typeof journalKinds)[number];

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/** An event before it is chained. Personal values stand apart, so that they can be erased without breaking the chain. */
export interface JournalRecord {
  readonly kind: JournalKind;
  /** milliseconds UTC as the clock showed it, right or not */
  readonly atMs: number;
  readonly monotonicUs: number;
  readonly bootId: string;
  readonly clock: 'trusted' | 'untrusted';
  /** the tap that caused this, 32 hexadecimal digits */
  readonly tapId?: string;
  /** never holds a user number, a name or a secret */
  readonly body: { readonly [key: string]: JsonValue };
  /** such as `userNumber`; enters the chain as a salted hash */
  readonly personal?: { readonly [field: string]: string };
  /** facts that become durable together with the entry, and are no part of its bytes */
  readonly changes?: readonly StateChange[];
}

/** Position of an entry in the history of one terminal; a replaced or restored device starts a new incarnation. */
export interface JournalPosition {
  readonly terminal: string;
  readonly incarnation: string;
  /** from 1, without gaps */
  readonly sequence: number;
}

/** The last entry of a chain: what is printed, exported and later held by the server. `hash` is upper-case hexadecimal. */
export interface JournalHead extends JournalPosition {
  readonly hash: string;
}
