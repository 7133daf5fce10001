import type { AccessMemory, FactsView, FoundFacts } from '#core/access/access-memory.ts';
import { decide, effectiveMs } from '#core/access/decide.ts';
import type { Decision, DecisionBasis, DenialReason, TapAlarm } from '#core/access/decision.ts';
import type { KeptFacts } from '#core/access/kept-facts.ts';
import type { PolicySlice } from '#core/access/policy.ts';
import type { DecisionTime } from '#core/access/rule.ts';
import { afterFailure } from '#core/access/rules/lock-out.ts';
import type { CardClaim, Reading } from '#core/card/reading.ts';
import type { Clock } from '#ports/clock.ts';
import type { LookedUp, PolicyLookup } from '#ports/policy-lookup.ts';
import type { ReaderSettings } from './desks.ts';
import type { JournalWriter } from './journal-writer.ts';

export interface TapDecisionParts {
  readonly policy: PolicyLookup;
  readonly memory: AccessMemory;
  readonly journal: JournalWriter;
  readonly clock: Clock;
  readonly reader: ReaderSettings;
}

/** What is stored about a card and its holder; `asked` is the memory's mark from before. */
export interface Found extends LookedUp {
  readonly asked: number;
}

/** What was looked up while the card was still being authenticated, for the card that it claims to be. */
export interface EarlyLookUp {
  readonly claim: CardClaim;
  /** monotonic µs */
  readonly askedUs: number;
  /** undefined where the policy has no such card; never rejects */
  readonly found: Promise<Found | undefined>;
}

/** how old an early look-up may be: a permission withdrawn since then is still believed, in microseconds */
const earlyForUs = 500_000;

/** A decision, and what it changes, kept until it is durable; `holderId` is whose tap it was. */
export interface Decided {
  readonly decision: Decision;
  readonly facts?: KeptFacts;
  readonly holderId?: string | undefined;
}

/** One tap; `openByUs` is the monotonic µs after which nobody waits any more. */
interface OfTap {
  readonly tapId: string;
  readonly found: Found;
  readonly openByUs: number;
  /** the holder entered a PIN under threat */
  readonly duress?: boolean;
}

export interface DecisionRequest extends OfTap {
  readonly reading: Reading;
  /** Why a decision that denies nothing does not hold after all. */
  readonly objection: (decision: Decision) => DenialReason | undefined;
}

/** A denial that something else than a rule brought about: the card, the pin pad. */
export interface FailureRequest extends OfTap {
  /** absent where the card gave none */
  readonly reading: Reading | undefined;
  readonly reason: DenialReason;
  readonly basis: DecisionBasis;
}

/** Looks up what a decision on `reading` needs. Rejects with policy, journal and database faults. */
export async function lookUp(parts: TapDecisionParts, reading: Reading): Promise<Found> {
  // what the rules remember is known only with the journal open
  await parts.journal.open();
  const asked = parts.memory.asked();
  const found = await parts.policy.lookUp({
    doorId: parts.reader.doorId,
    organization: reading.organization,
    profileId: reading.profileId,
    userNumber: reading.userNumber,
    ...(reading.diversifier === undefined ? {} : { diversifier: reading.diversifier }),
  });
  return { ...found, asked };
}

/** Looks up what holds for a card that has no reading: the rules of the door alone. Rejects as `lookUp` does. */
export async function lookUpDoor(parts: TapDecisionParts): Promise<Found> {
  const nobody = { organization: '', profileId: '', userNumber: '' };
  await parts.journal.open();
  const asked = parts.memory.asked();
  return { ...(await parts.policy.lookUp({ doorId: parts.reader.doorId, ...nobody })), asked };
}

/** Begins the look-up for a card that has said who it is, while it proves that. */
export function lookUpEarly(
  { policy, memory, journal, clock, reader }: TapDecisionParts,
  claim: CardClaim,
): EarlyLookUp {
  const { organization, profileId, diversifier } = claim;
  const look = async (): Promise<Found | undefined> => {
    await journal.open();
    const asked = memory.asked();
    const found = await policy.lookUpClaim({ doorId: reader.doorId, organization, profileId, diversifier });
    return found && { ...found, asked };
  };
  // looked up again for the decision, where the fault counts
  return { claim, askedUs: clock.monotonicUs(), found: look().catch(() => undefined) };
}

/** The early look-up, if it is fresh and of just the card that has proven itself; the claim alone counts for nothing. */
export async function believed(
  { clock }: TapDecisionParts,
  { organization, profileId, userNumber, diversifier }: Reading,
  early: EarlyLookUp | undefined,
): Promise<Found | undefined> {
  if (!early || early.claim.organization !== organization) return undefined;
  const found = await early.found;
  const card = found?.slice.card;
  const same =
    diversifier !== undefined &&
    card?.diversifier === diversifier &&
    card.profileId === profileId &&
    card.userNumber === userNumber;
  return same && clock.monotonicUs() - early.askedUs <= earlyForUs ? found : undefined;
}

/** Decides a reading by the rules. */
export function decideReading(parts: TapDecisionParts, asked: DecisionRequest): Promise<Decided> {
  const { tapId, reading } = asked;
  return settled(parts, asked, (state, { slice }) => {
    const request = { ...requestOf(parts, tapId), ...(asked.duress && { duress: true as const }) };
    const decision = decide({ reading, request, slice, state, time: timeOf(parts) });
    const reason = decision.kind === 'denied' ? undefined : asked.objection(decision);
    const { basis } = decision;
    const after = reason
      ? failure(parts, { reading, reason, basis, alarms: lasting(decision), slice, state })
      : decision;
    return asked.duress ? underThreat(after) : after;
  });
}

/** Whatever became of the tap before the rule of duress was asked, staff is told. */
function underThreat(decision: Decision): Decision {
  if (decision.kind === 'needs' || decision.alarms.includes('duress')) return decision;
  return { ...decision, alarms: [...decision.alarms, 'duress'] };
}

/** Denies a tap that failed before, or after, the rules were asked: failures are counted all the same. */
export function decideFailure(parts: TapDecisionParts, asked: FailureRequest): Promise<Decided> {
  const alarms = asked.duress ? (['duress'] as const) : [];
  return settled(parts, asked, (state, { slice }) => failure(parts, { ...asked, alarms, slice, state }));
}

/** What staff is told all the same of a tap that opens nothing after all: nobody got past a position that does not fit. */
export function lasting(decision: Decision): readonly TapAlarm[] {
  return decision.kind === 'needs' ? [] : decision.alarms.filter((alarm) => alarm !== 'passback');
}

/**
 * Decides on facts that are durable, and keeps what the decision changes, with nothing awaited in between: two taps
 * that touch the same fact are decided one after the other.
 */
async function settled(
  parts: TapDecisionParts,
  asked: OfTap & { readonly reading: Reading | undefined },
  make: (state: FactsView, found: Found) => Decision,
): Promise<Decided> {
  const { memory, clock } = parts;
  const { tapId, openByUs } = asked;
  let { found } = asked;
  for (;;) {
    const facts = factsOf(found);
    const view = memory.view(facts);
    if (!view) {
      found = asked.reading ? await lookUp(parts, asked.reading) : await lookUpDoor(parts);
      continue;
    }
    const decision = make(view, found);
    const changes = decision.kind === 'needs' ? [] : decision.changes;
    const unsettled = view.unsettled(changes);
    if (!unsettled) {
      if (decision.kind === 'waits') memory.waits(tapId, facts);
      return { decision, facts: memory.keep(tapId, changes, facts), holderId: facts.holderId };
    }
    if (!(await settledBy(clock, unsettled, openByUs))) {
      const { basis } = decision;
      const reason = decision.kind === 'denied' ? decision.reason : 'too-late';
      return { decision: { kind: 'denied', reason, basis, changes: [], alarms: lasting(decision) } };
    }
  }
}

/** A denial that no rule made, with what it counts for: too many lock out. */
function failure(
  parts: TapDecisionParts,
  failed: Pick<FailureRequest, 'reading' | 'reason' | 'basis'> & {
    readonly alarms: readonly TapAlarm[];
    readonly slice: PolicySlice;
    readonly state: FactsView;
  },
): Decision {
  const { reading, reason, basis, slice, state, alarms } = failed;
  const time = timeOf(parts);
  const holderId = slice.holder?.holderId;
  // a number that anyone could copy vouches for nobody
  const vouched = reading?.assurance.includes('mutual-authentication') === true;
  const { changes, lockedOut } = afterFailure({
    rules: slice.rules,
    reason,
    readerId: parts.reader.readerId,
    ...(vouched && holderId !== undefined ? { holderId } : {}),
    state,
    time,
    timeMs: effectiveMs(time),
  });
  return { kind: 'denied', reason, basis, changes, alarms: lockedOut ? [...alarms, 'locked-out'] : alarms };
}

/** The time that decisions are made with. */
export function timeOf({ clock, journal }: Pick<TapDecisionParts, 'clock' | 'journal'>): DecisionTime {
  return {
    utcMs: clock.utcMs(),
    floorMs: journal.floorMs(),
    trusted: clock.trusted(),
    monotonicMs: Math.floor(clock.monotonicUs() / 1_000),
    bootId: clock.bootId(),
  };
}

function factsOf({ slice, facts, asked }: Found): FoundFacts {
  return { holderId: slice.holder?.holderId, facts, asked };
}

function requestOf(
  { reader: { doorId, readerId, from, to, zones, service } }: TapDecisionParts,
  tapId: string,
) {
  return {
    doorId,
    readerId,
    tapId,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(zones && zones.length > 0 && { zones }),
    ...(service && { service }),
  };
}

/** Whether `settled` came before monotonic `byUs`. */
async function settledBy(clock: Clock, settled: Promise<void>, byUs: number): Promise<boolean> {
  const leftMs = Math.ceil((byUs - clock.monotonicUs()) / 1_000);
  if (leftMs <= 0) return false;
  let cancel = (): void => undefined;
  const late = new Promise<false>((resolve) => {
    cancel = clock.after(leftMs, () => resolve(false));
  });
  const inTime = await Promise.race([settled.then(() => true), late]);
  cancel();
  return inTime;
}
