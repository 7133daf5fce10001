import { z } from 'zod';
import { assuranceProperties, type Reading } from '#core/card/reading.ts';
import type { JournalEntry } from '#core/journal/entry.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { type DenialReason, denialReasons, waitReasons } from './decision.ts';
import type { DecisionTime, TapRequest } from './rule.ts';

const bodySchema = z.looseObject({
  door: z.string(),
  reader: z.string(),
  from: z.string().optional(),
  to: z.string().optional(),
  zones: z.array(z.string()).optional(),
  service: z
    .looseObject({
      id: z.string(),
      action: z.enum(['in', 'out', 'lend', 'return']).optional(),
      item: z.string().optional(),
    })
    .optional(),
  result: z.enum(['granted', 'denied', 'waits', 'hold-again']),
  reason: z.enum([...denialReasons, ...waitReasons]).optional(),
  fault: z.string().optional(),
  basis: z
    .looseObject({
      policyVersion: z.int(),
      timeMs: z.number(),
      clock: z.enum(['trusted', 'untrusted']),
      demanded: z.array(z.string()),
      path: z.array(
        z.looseObject({
          rule: z.string(),
          verdict: z.string(),
          used: z.record(z.string(), z.custom<JsonValue>()).optional(),
        }),
      ),
    })
    .optional(),
  card: z
    .looseObject({
      organization: z.string(),
      profile: z.string(),
      method: z.custom<Reading['method']>((value) => typeof value === 'string'),
      assurance: z.array(z.enum(assuranceProperties)),
      keyVersion: z.int().optional(),
    })
    .optional(),
  changes: z
    .array(z.looseObject({ key: z.string(), about: z.string(), value: z.custom<JsonValue>().optional() }))
    .optional(),
});

/** What the entry of a decision tells. */
export type RecordedDecision = z.output<typeof bodySchema>;

/** The decision that `entry` records; undefined for any other entry, or one of a form this version does not know. */
export function recordedDecision(entry: JournalEntry): RecordedDecision | undefined {
  return entry.kind === 'decision' ? bodySchema.safeParse(entry.body).data : undefined;
}

/** A tap as it can be decided again. */
export interface RecordedTap {
  readonly reading: Reading;
  readonly request: TapRequest;
  readonly time: DecisionTime;
}

/** The time a decision was made with; undefined where none was made. */
export function recordedTime(entry: JournalEntry, { basis }: RecordedDecision): DecisionTime | undefined {
  if (!basis) return undefined;
  return {
    utcMs: entry.atMs,
    // what an untrusted clock was raised to stands in the basis
    floorMs: basis.timeMs,
    trusted: basis.clock === 'trusted',
    monotonicMs: Math.floor(entry.monotonicUs / 1_000),
    bootId: entry.bootId,
  };
}

/** reasons that no rule gave: what they rest on is not in a policy, and no other policy changes them */
const beyondRules: ReadonlySet<DenialReason> = new Set<DenialReason>([
  'unknown-card',
  'key-version-ended',
  'timing-unusual',
  'card-refused',
  'card-silent',
  'card-key-missing',
  'reading-too-slow',
  'reader-virtual',
  'too-late',
  'fault',
]);

/**
 * The tap that `entry` records, to be decided again. `erased`: whose it was has lawfully been erased. `beyond`: no rule
 * decided it, so that no policy would decide it otherwise.
 */
export function recordedTap(
  entry: JournalEntry,
  decision: RecordedDecision,
  personal: { readonly [field: string]: string },
): RecordedTap | 'erased' | 'beyond' {
  const { card, reason } = decision;
  const time = recordedTime(entry, decision);
  if (!card || !time || beyondRules.has(reason as DenialReason)) return 'beyond';
  const { userNumber, diversifier } = personal;
  if (userNumber === undefined) return 'erased';
  const { door: doorId, reader: readerId, from, to, zones, service, basis } = decision;
  const duress = basis?.path.some(({ rule }) => rule === 'duress');
  return {
    reading: {
      organization: card.organization,
      profileId: card.profile,
      method: card.method,
      userNumber,
      assurance: card.assurance,
      ...(card.keyVersion === undefined ? {} : { keyVersion: card.keyVersion }),
      ...(diversifier === undefined ? {} : { diversifier }),
      timings: {
        connectUs: 0,
        selectUs: 0,
        authenticateUs: 0,
        authenticateCardUs: 0,
        readUs: 0,
        exchanges: 0,
      },
    },
    request: {
      doorId,
      readerId,
      tapId: entry.tapId ?? '',
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      ...(zones && { zones }),
      ...(service && { service }),
      ...(duress && { duress }),
    },
    time,
  };
}
