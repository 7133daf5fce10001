import type { Logger } from 'pino';
import { effectiveMs } from '#core/access/decide.ts';
import type { Decision, DecisionBasis, DenialReason, TapAlarm } from '#core/access/decision.ts';
import type { KeptFacts } from '#core/access/kept-facts.ts';
import type { CardOutcome, Reading } from '#core/card/reading.ts';
import { type FaultRecord, isFault, toFaultRecord } from '#core/fault.ts';
import type { PresentedCard } from '#ports/card-reader.ts';
import type { Actuation } from './door-controller.ts';
import type { Passages } from './passages.ts';
import {
  believed,
  decideFailure,
  decideReading,
  type EarlyLookUp,
  type Found,
  lasting,
  lookUp,
  lookUpDoor,
  type TapDecisionParts,
  timeOf,
} from './tap-decision.ts';
import { actuationEntry, decisionEntry, timingEntry, tooSlowEntry } from './tap-entries.ts';
import { askForPin, type PinResult, type TapPinParts } from './tap-pin.ts';
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
      /** what the decision changes; absent where no rule was asked */
      readonly facts?: KeptFacts;
      /** whose tap it was, as far as the policy knows */
      readonly holderId?: string | undefined;
    }
  | { readonly kind: 'hold-again' };

export type Granted = Extract<Decision, { kind: 'granted' }>;

export interface TapParts extends TapDecisionParts, TapPinParts {
  readonly passages: Passages;
  readonly log: Logger;
  /** undefined where the reader's configuration does not ask for it */
  readonly timing: TimingWatch | undefined;
  /** Moves the strike; resolves with what the hardware did. Called only with a durable decision. */
  readonly open: (tapId: string, decision: Granted) => Promise<Actuation>;
}

/**
 * The course of one tap: look up, decide, ask for a PIN where one is needed, make the decision durable, and only
 * then open. Whatever goes wrong ends as `denied: fault`, journalled, with the door locked. Never rejects.
 */
export async function runTap(
  parts: TapParts,
  card: PresentedCard,
  removed: AbortSignal,
  early?: EarlyLookUp,
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
  early: EarlyLookUp | undefined,
): Promise<TapResult> {
  let result: TapResult;
  const course = { duress: false };
  try {
    result = await decideTap(parts, card, removed, { early, course });
  } catch (error) {
    parts.log.error({ tapId: card.tapId, err: error }, 'fault during a tap');
    const reason = isFault(error, 'policy-absent') ? 'policy-absent' : 'fault';
    const fault = isFault(error) ? toFaultRecord(error) : undefined;
    result = denied(parts, reason, { fault, alarms: course.duress ? ['duress'] : [] });
  }
  try {
    await parts.journal.decided(decisionEntry(parts.reader, card, result));
  } catch (error) {
    parts.log.error({ tapId: card.tapId, err: error }, 'decision could not be journalled: nothing opens');
    if (result.kind === 'decided') {
      const fault = isFault(error) ? toFaultRecord(error) : undefined;
      result = denied(parts, 'fault', { fault, alarms: lasting(result.decision) });
    }
    parts.journal.note(decisionEntry(parts.reader, card, result));
    noteAlarms(parts, card, result);
    return result;
  }
  noteAlarms(parts, card, result);
  if (result.kind === 'hold-again' || result.decision.kind !== 'granted') return result;
  const { alarms } = result.decision;
  if (parts.clock.monotonicUs() > result.openByUs) {
    noteNotOpened(parts, card, { result: 'not-opened', reason: 'too-late' });
    return denied(parts, 'too-late', { alarms });
  }
  const done = await parts.open(card.tapId, result.decision);
  if (done.kind === 'refused') {
    noteNotOpened(parts, card, { result: 'not-opened', reason: done.reason });
    return denied(parts, done.reason, { alarms });
  }
  if (done.kind === 'failed') {
    noteNotOpened(parts, card, { result: 'failed', fault: done.fault.code });
    return { ...result, fault: done.fault };
  }
  parts.journal.note(actuationEntry(parts.reader, card, { result: done.kind }));
  return result;
}

/** Tells staff what the person at the door is not told. */
function noteAlarms(
  { journal, reader: { doorId, readerId } }: TapParts,
  { tapId }: PresentedCard,
  result: TapResult,
): void {
  if (result.kind === 'hold-again' || result.decision.kind === 'needs') return;
  for (const alarm of result.decision.alarms) {
    journal.note({ kind: 'alarm', tapId, body: { door: doorId, reader: readerId, alarm, on: true } });
  }
}

/** The door did not open: what holds only of a grant that it obeyed is as before. */
function noteNotOpened(
  { passages, reader }: TapParts,
  card: PresentedCard,
  body: Parameters<typeof actuationEntry>[2],
): void {
  passages.notPassed({ ...actuationEntry(reader, card, body), tapId: card.tapId }, 'not-opened');
}

async function decideTap(
  parts: TapParts,
  card: PresentedCard,
  removed: AbortSignal,
  { early, course }: { readonly early: EarlyLookUp | undefined; readonly course: { duress: boolean } },
): Promise<TapResult> {
  const outcome = card.outcome;
  if (outcome.kind !== 'reading') return counted(parts, card, resultWithoutReading(parts, card, outcome));

  let reading = outcome.reading;
  const timing = parts.timing?.denies ? watchTiming(parts, card, reading) : undefined;
  let openByUs = card.presentedAtUs + parts.settings.decisionDeadlineMs * 1_000;
  const objection = ({ kind }: Decision): DenialReason | undefined => {
    if (timing?.refused) return 'timing-unusual';
    return kind === 'granted' && parts.clock.monotonicUs() > openByUs ? 'too-late' : undefined;
  };
  const found = (await believed(parts, reading, early)) ?? (await lookUp(parts, reading));
  const { tapId } = card;
  let decided = await decideReading(parts, { tapId, reading, found, openByUs, objection });
  if (decided.decision.kind === 'needs') {
    const askedUs = parts.clock.monotonicUs();
    const { entry, duress } = await askForPin(parts, card, removed, found);
    openByUs += parts.clock.monotonicUs() - askedUs;
    course.duress = duress;
    if (entry.kind !== 'verified') {
      const result = resultWithoutPin(parts, entry, decided.decision.basis);
      return counted(parts, card, result, { found, reading, duress });
    }
    reading = entry.reading;
    // looked up again: the permission may have been withdrawn while the PIN was typed
    const again = await lookUp(parts, reading);
    decided = await decideReading(parts, {
      tapId,
      reading,
      found: again,
      openByUs,
      duress,
      objection: (decision) => (decision.kind === 'needs' ? 'pin-unavailable' : objection(decision)),
    });
  }
  return { kind: 'decided', ...decided, reading, openByUs };
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

/** A denial that no rule made, with what it counts for where too many failures lock out. */
async function counted(
  parts: TapParts,
  card: PresentedCard,
  result: TapResult,
  known?: { readonly found: Found; readonly reading: Reading; readonly duress: boolean },
): Promise<TapResult> {
  if (result.kind === 'hold-again' || result.decision.kind !== 'denied') return result;
  const found = known?.found ?? (await lookUpDoor(parts).catch(() => undefined));
  if (!found) return result;
  const { reason, basis } = result.decision;
  const openByUs = parts.clock.monotonicUs() + parts.settings.decisionDeadlineMs * 1_000;
  const { reading, duress = false } = known ?? {};
  const asked = { tapId: card.tapId, reading, found, openByUs, reason, basis, duress };
  return { ...result, ...(await decideFailure(parts, asked)) };
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
      return denied(parts, reasonOf(outcome.fault), { fault: outcome.fault });
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
    case 'surplus':
      return denied(parts, 'pin-wrong', { basis });
    case 'withheld':
      return denied(parts, 'pin-withheld', { basis });
    case 'blocked':
      return denied(parts, 'pin-blocked', { basis });
    case 'timeout':
      return denied(parts, 'card-silent', { basis });
    case 'not-entered':
      return denied(parts, 'pin-not-entered', { basis });
    case 'absent':
      return denied(parts, 'pin-unavailable', { basis });
    case 'refused':
      return denied(parts, reasonOf(entry.fault), { fault: entry.fault, basis });
    default:
      return entry satisfies never;
  }
}

/** A denial the policy did not make; without `basis` none was looked up, which policy version 0 says. */
function denied(
  parts: TapParts,
  reason: DenialReason,
  {
    fault,
    basis,
    alarms = [],
  }: {
    readonly fault?: FaultRecord | undefined;
    readonly basis?: DecisionBasis;
    readonly alarms?: readonly TapAlarm[];
  } = {},
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
    alarms,
  };
  return { kind: 'decided', decision, ...(fault ? { fault } : {}), openByUs: 0 };
}
