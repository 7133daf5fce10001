import { z } from 'zod';
import { type AccessState, factOf, type StateChange } from '#core/access/access-state.ts';
import type { DenialReason } from '#core/access/decision.ts';
import { type Moment, momentOf, momentSchema } from '#core/access/moment.ts';
import type { DoorRules } from '#core/access/policy.ts';
import type { Rule, Tap } from '#core/access/rule.ts';
import { duration } from '#core/config/duration.ts';

/** Failures of somebody the card has vouched for: nobody can lock a holder out with a number alone. */
const holderReasons = ['pin-wrong', 'pin-not-entered', 'no-permission', 'outside-schedule'] as const;
/** Failures that show somebody trying cards, or numbers, at a reader. */
const readerReasons = [
  'unknown-card',
  'card-refused',
  'timing-unusual',
  'profile-not-admitted',
  'user-number-unknown',
  'card-not-registered',
  'assurance-insufficient',
  'pin-wrong',
] as const;

const limits = {
  after: z.int().min(2).max(100).default(5).describe('failures that lock out'),
  within: duration(1_000, 86_400_000).prefault('10 min').describe('time in which they count together'),
  first: duration(1_000, 86_400_000)
    .prefault('1 min')
    .describe('the first lock-out; each further one is twice as long'),
  longest: duration(1_000, 86_400_000)
    .prefault('1 h')
    .describe('the longest lock-out; this long without one starts over'),
};

export const lockOutConfig = z
  .strictObject({
    holder: z
      .strictObject({ ...limits, reasons: z.array(z.enum(holderReasons)).min(1).default(['pin-wrong']) })
      .optional(),
    reader: z
      .strictObject({
        ...limits,
        reasons: z
          .array(z.enum(readerReasons))
          .min(1)
          .default(['card-refused', 'user-number-unknown', 'card-not-registered', 'pin-wrong']),
      })
      .optional()
      .describe('a reader locked out refuses everybody'),
  })
  .prefault({});
type Limits = Omit<NonNullable<z.output<typeof lockOutConfig>['holder']>, 'reasons'>;

const failuresSchema = z.strictObject({
  count: z.int().min(0),
  since: momentSchema,
  /** lock-outs so far */
  rounds: z.int().min(0),
  /** end of the last lock-out, monotonic milliseconds of the boot of `since` */
  untilMs: z.number(),
});
type Failures = z.output<typeof failuresSchema>;

type Now = Pick<Tap, 'state' | 'time' | 'timeMs'>;

/** A reader at which too much failed refuses everybody for a time. Its counts end with the boot. */
export const readerLockOut: Rule = {
  name: 'reader-lock-out',
  check: (tap) => {
    if (!tap.slice.rules.site.lockOut.reader) return undefined;
    const key = readerKey(tap.request.readerId);
    return objection(key, tap.state.shared(key), tap);
  },
};

/** A holder whose card failed too often is refused for a time, at every door of this terminal. A grant starts over. */
export const holderLockOut: Rule = {
  name: 'holder-lock-out',
  check: (tap) => {
    if (!tap.slice.rules.site.lockOut.holder) return undefined;
    const { holder } = tap.slice;
    const fact = tap.state.holder(holderKey);
    if (!holder || fact === undefined) return undefined;
    const locked = objection(holderKey, fact, tap);
    return locked ?? { kind: 'passed', changes: [{ key: holderKey, holderId: holder.holderId }] };
  },
};

const holderKey = 'failures';
const readerKey = (readerId: string) => `failures/${readerId}`;

function objection(key: string, fact: Parameters<typeof factOf>[2], now: Now) {
  const failures = ofThisBoot(factOf(failuresSchema, key, fact), now);
  const leftMs = (failures?.untilMs ?? 0) - now.time.monotonicMs;
  return leftMs > 0 ? ({ kind: 'denied', reason: 'locked-out', used: { leftMs } } as const) : undefined;
}

/** What a failed tap leaves behind, whoever found the failure: a rule, the card, or the pin pad. */
export function afterFailure(
  failed: Now & {
    readonly rules: DoorRules;
    readonly reason: DenialReason;
    readonly readerId: string;
    /** absent where the card did not prove whose it is */
    readonly holderId?: string;
    readonly state: Pick<AccessState, 'shared' | 'holder' | 'terminal'>;
  },
): { readonly changes: readonly StateChange[]; readonly lockedOut: boolean } {
  const { rules, reason, readerId, holderId, state } = failed;
  const { holder, reader } = rules.site.lockOut;
  const isLocked = ({ untilMs }: Failures) => untilMs > failed.time.monotonicMs;
  const found: { about: Omit<StateChange, 'value'>; next: Failures }[] = [];
  const count = (about: Omit<StateChange, 'value'>, fact: Parameters<typeof factOf>[2], limits: Limits) => {
    const before = ofThisBoot(factOf(failuresSchema, about.key, fact), failed);
    // whoever goes on trying while locked out prolongs nothing, for those who come after
    if (!before || !isLocked(before)) found.push({ about, next: failedAgain(before, limits, failed) });
  };
  if (reader?.reasons.some((one) => one === reason)) {
    const key = readerKey(readerId);
    count({ key }, state.shared(key), reader);
  }
  if (holderId !== undefined && holder?.reasons.some((one) => one === reason)) {
    count({ key: holderKey, holderId }, state.holder(holderKey), holder);
  }
  return {
    changes: found.map(({ about, next }) => ({ ...about, value: next })),
    lockedOut: found.some(({ next }) => isLocked(next)),
  };
}

function failedAgain(before: Failures | undefined, limits: Limits, now: Now): Failures {
  const { monotonicMs } = now.time;
  const calm = before !== undefined && monotonicMs - before.untilMs > limits.longest;
  const rounds = before && !calm ? before.rounds : 0;
  const counts = before && before.count > 0 && monotonicMs - before.since.monotonicMs <= limits.within;
  const count = counts ? before.count + 1 : 1;
  const since: Moment = counts ? before.since : momentOf(now);
  if (count < limits.after) return { count, since, rounds, untilMs: before?.untilMs ?? 0 };
  const lengthMs = Math.min(limits.first * 2 ** rounds, limits.longest);
  return { count: 0, since: momentOf(now), rounds: rounds + 1, untilMs: monotonicMs + lengthMs };
}

function ofThisBoot(failures: Failures | undefined, { time }: Now): Failures | undefined {
  return failures?.since.bootId === time.bootId ? failures : undefined;
}
