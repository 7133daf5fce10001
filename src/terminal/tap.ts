import type { Logger } from 'pino';
import { blankState } from '#core/access/access-state.ts';
import { decide, effectiveMs } from '#core/access/decide.ts';
import type { Decision, DecisionBasis, DenialReason } from '#core/access/decision.ts';
import type { PolicySlice } from '#core/access/policy.ts';
import type { DecisionTime } from '#core/access/rule.ts';
import type { CardClaim, CardOutcome, PinOutcome, Reading } from '#core/card/reading.ts';
import { type FaultRecord, isFault, toFaultRecord } from '#core/fault.ts';
import type { PresentedCard } from '#ports/card-reader.ts';
import type { Clock } from '#ports/clock.ts';
import type { Indicator } from '#ports/indicator.ts';
import type { PinPad } from '#ports/pin-pad.ts';
import type { PolicyLookup } from '#ports/policy-lookup.ts';
import type { JournalWriter } from './journal-writer.ts';
import { actuationEntry, decisionEntry, timingEntry, tooSlowEntry } from './tap-entries.ts';
import type { ReaderSettings, TerminalSettings } from './terminal.ts';
import type { JudgedTiming, TimingWatch } from './timing-watch.ts';

/** How a tap ended: a decision, or a card taken away too early, which is no denial. */
export type TapResult =
  | {
      readonly kind: 'decided';
      readonly decision: Decision;
      /** the reading decided on, with the PIN where one was verified */
      readonly reading?: Reading;
      readonly fault?: FaultRecord;
      /** monotonic µs after which nothing opens any more: whoever waited has walked away */
      readonly openByUs: number;
    }
  | { readonly kind: 'hold-again' };

/** What was looked up while the card was still being authenticated, for the card that it claims to be. */
export interface EarlySlice {
  readonly claim: CardClaim;
  /** monotonic µs */
  readonly askedUs: number;
  /** undefined where the policy has no such card; never rejects */
  readonly slice: Promise<PolicySlice | undefined>;
}

/** how old an early slice may be: a permission withdrawn since then is still believed, in microseconds */
const earlyForUs = 500_000;

export interface TapParts {
  readonly policy: PolicyLookup;
  readonly journal: JournalWriter;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: TerminalSettings;
  readonly reader: ReaderSettings;
  readonly indicator: Indicator | undefined;
  readonly pinPad: PinPad | undefined;
  /** undefined where the reader's configuration does not ask for it */
  readonly timing: TimingWatch | undefined;
  /** Moves the strike; resolves with what the hardware did. Called only with a durable decision. */
  readonly open: (tapId: string) => Promise<FaultRecord | undefined>;
}

/**
 * The course of one tap: look up, decide, ask for a PIN where one is needed, make the decision durable, and only
 * then open. Whatever goes wrong ends as `denied: fault`, journalled, with the door locked. Never rejects.
 */
export async function runTap(
  parts: TapParts,
  card: PresentedCard,
  removed: AbortSignal,
  early?: EarlySlice,
): Promise<TapResult> {
  const result = await decideAndOpen(parts, card, removed, early);
  // only observed, a time costs the tap nothing: the decision is durable and the strike has moved
  if (!parts.timing?.denies && card.outcome.kind === 'reading')
    watchTiming(parts, card, card.outcome.reading);
  return result;
}

async function decideAndOpen(
  parts: TapParts,
  card: PresentedCard,
  removed: AbortSignal,
  early: EarlySlice | undefined,
): Promise<TapResult> {
  let result: TapResult;
  try {
    result = await decideTap(parts, card, removed, early);
  } catch (error) {
    parts.log.error({ tapId: card.tapId, err: error }, 'fault during a tap');
    const reason = isFault(error, 'policy-absent') ? 'policy-absent' : 'fault';
    result = denied(parts, reason, isFault(error) ? toFaultRecord(error) : undefined);
  }
  try {
    await parts.journal.decided(decisionEntry(parts.reader, card, result));
  } catch (error) {
    parts.log.error({ tapId: card.tapId, err: error }, 'decision could not be journalled: nothing opens');
    if (result.kind === 'decided')
      result = denied(parts, 'fault', isFault(error) ? toFaultRecord(error) : undefined);
    parts.journal.note(decisionEntry(parts.reader, card, result));
    return result;
  }
  if (result.kind === 'hold-again' || result.decision.kind !== 'granted') return result;
  if (parts.clock.monotonicUs() > result.openByUs) {
    parts.journal.note(actuationEntry(parts.reader, card, { result: 'not-opened', reason: 'too-late' }));
    return denied(parts, 'too-late');
  }
  const fault = await parts.open(card.tapId);
  const done = fault ? { result: 'failed', fault: fault.code } : { result: 'unlocked' };
  parts.journal.note(actuationEntry(parts.reader, card, done));
  return fault ? { ...result, fault } : result;
}

async function decideTap(
  parts: TapParts,
  card: PresentedCard,
  removed: AbortSignal,
  early: EarlySlice | undefined,
): Promise<TapResult> {
  const outcome = card.outcome;
  if (outcome.kind !== 'reading') return resultWithoutReading(parts, card, outcome);

  let reading = outcome.reading;
  const timing = parts.timing?.denies ? watchTiming(parts, card, reading) : undefined;
  let openByUs = card.presentedAtUs + parts.settings.decisionDeadlineMs * 1_000;
  let decision = decideBy(
    parts,
    card.tapId,
    reading,
    (await believed(parts, reading, early)) ?? (await lookUp(parts, reading)),
  );
  if (timing?.refused && decision.kind !== 'denied') {
    return denied(parts, 'timing-unusual', undefined, decision.basis);
  }
  if (decision.kind === 'needs') {
    const askedUs = parts.clock.monotonicUs();
    const entry = await askForPin(parts, card, removed);
    openByUs += parts.clock.monotonicUs() - askedUs;
    if (entry.kind !== 'verified') return resultWithoutPin(parts, entry, decision.basis);
    reading = entry.reading;
    // looked up again: the permission may have been withdrawn while the PIN was typed
    decision = decideBy(parts, card.tapId, reading, await lookUp(parts, reading));
    if (decision.kind === 'needs') return denied(parts, 'pin-unavailable', undefined, decision.basis);
  }
  if (decision.kind === 'granted' && parts.clock.monotonicUs() > openByUs) {
    return denied(parts, 'too-late', undefined, decision.basis);
  }
  return { kind: 'decided', decision, reading, openByUs };
}

/** Judges how long the card took to authenticate; what is unusual gets an entry of its own, refused or not. */
function watchTiming(
  { timing, journal, log, reader }: TapParts,
  card: PresentedCard,
  reading: Reading,
): JudgedTiming | undefined {
  const judged = timing?.judge(reading, card.presentedAtUs);
  if (!judged || (judged.kind !== 'slow' && !judged.shifted && !judged.settled)) return judged;
  const occurrence = timingEntry(reader, card.tapId, reading.profileId, judged);
  journal.note(occurrence);
  log.warn({ tapId: card.tapId, ...occurrence.body }, 'unusually slow authentication');
  return judged;
}

function lookUp(parts: TapParts, reading: Reading): Promise<PolicySlice> {
  return parts.policy.slice({
    doorId: parts.reader.doorId,
    organization: reading.organization,
    profileId: reading.profileId,
    userNumber: reading.userNumber,
    ...(reading.diversifier === undefined ? {} : { diversifier: reading.diversifier }),
  });
}

/** The early slice, if it is fresh and of just the card that has proven itself; the claim alone counts for nothing. */
async function believed(
  { clock }: TapParts,
  { organization, profileId, userNumber, diversifier }: Reading,
  early: EarlySlice | undefined,
): Promise<PolicySlice | undefined> {
  if (!early || early.claim.organization !== organization) return undefined;
  const slice = await early.slice;
  const card = slice?.card;
  const same =
    diversifier !== undefined &&
    card?.diversifier === diversifier &&
    card.profileId === profileId &&
    card.userNumber === userNumber;
  return same && clock.monotonicUs() - early.askedUs <= earlyForUs ? slice : undefined;
}

function decideBy(parts: TapParts, tapId: string, reading: Reading, slice: PolicySlice): Decision {
  const { doorId, readerId, from, to } = parts.reader;
  const request = {
    doorId,
    readerId,
    tapId,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
  return decide({ reading, request, slice, state: blankState, time: timeOf(parts) });
}

function timeOf({ clock, journal }: TapParts): DecisionTime {
  return {
    utcMs: clock.utcMs(),
    floorMs: journal.floorMs(),
    trusted: clock.trusted(),
    monotonicMs: Math.floor(clock.monotonicUs() / 1_000),
    bootId: clock.bootId(),
  };
}

type PinResult = PinOutcome | { readonly kind: 'not-entered' } | { readonly kind: 'absent' };

async function askForPin(parts: TapParts, card: PresentedCard, removed: AbortSignal): Promise<PinResult> {
  const profileId = card.outcome.kind === 'reading' ? card.outcome.reading.profileId : '';
  const digits = parts.settings.pin.digits.get(profileId);
  if (!parts.pinPad || !digits) return { kind: 'absent' };
  parts.indicator?.show('pin-needed');
  const entry = await parts.pinPad.request({ ...digits, timeoutMs: parts.settings.pin.timeoutMs }, removed);
  if (removed.aborted) {
    if (entry.kind === 'entered') entry.digits.fill(0);
    return { kind: 'removed' };
  }
  if (entry.kind === 'absent') return { kind: 'absent' };
  if (entry.kind !== 'entered') return { kind: 'not-entered' };
  parts.indicator?.show('reading');
  return card.verifyPin(entry.digits);
}

function reasonOf({ code }: FaultRecord): DenialReason {
  if (code === 'reader-virtual') return code;
  if (code === 'card-key-missing' || code === 'card-key-version') return 'card-key-missing';
  return code.startsWith('card-') || code.startsWith('user-number-') ? 'card-refused' : 'fault';
}

function resultWithoutReading(
  parts: TapParts,
  card: PresentedCard,
  outcome: Exclude<CardOutcome, { kind: 'reading' }>,
): TapResult {
  switch (outcome.kind) {
    case 'removed':
      return { kind: 'hold-again' };
    case 'unknown-card':
      return denied(parts, 'unknown-card');
    case 'timeout':
      return denied(parts, 'card-silent');
    case 'too-slow':
      parts.journal.note(tooSlowEntry(parts.reader, card, outcome, parts.clock.monotonicUs()));
      return denied(parts, 'reading-too-slow');
    case 'refused':
      return denied(parts, reasonOf(outcome.fault), outcome.fault);
    default:
      return outcome satisfies never;
  }
}

function resultWithoutPin(
  parts: TapParts,
  entry: Exclude<PinResult, { kind: 'verified' }>,
  basis: DecisionBasis,
): TapResult {
  switch (entry.kind) {
    case 'removed':
      return { kind: 'hold-again' };
    case 'wrong':
      return denied(parts, 'pin-wrong', undefined, basis);
    case 'withheld':
      return denied(parts, 'pin-withheld', undefined, basis);
    case 'blocked':
      return denied(parts, 'pin-blocked', undefined, basis);
    case 'timeout':
      return denied(parts, 'card-silent', undefined, basis);
    case 'not-entered':
      return denied(parts, 'pin-not-entered', undefined, basis);
    case 'absent':
      return denied(parts, 'pin-unavailable', undefined, basis);
    case 'refused':
      return denied(parts, reasonOf(entry.fault), entry.fault, basis);
    default:
      return entry satisfies never;
  }
}

/** A denial the policy did not make; without `basis` none was looked up, which policy version 0 says. */
function denied(
  parts: TapParts,
  reason: DenialReason,
  fault?: FaultRecord,
  basis?: DecisionBasis,
): TapResult {
  const time = timeOf(parts);
  const decision: Decision = {
    kind: 'denied',
    reason,
    basis: basis ?? {
      policyVersion: 0,
      doorId: parts.reader.doorId,
      timeMs: effectiveMs(time),
      clock: time.trusted ? 'trusted' : 'untrusted',
      demanded: [],
      path: [],
    },
    changes: [],
    alarms: [],
  };
  return { kind: 'decided', decision, ...(fault ? { fault } : {}), openByUs: 0 };
}
