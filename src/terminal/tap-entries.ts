import type { StateChange } from '#core/access/access-state.ts';
import type { CardOutcome } from '#core/card/reading.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { PresentedCard } from '#ports/card-reader.ts';
import type { ReaderSettings } from './desks.ts';
import type { Occurrence } from './journal-writer.ts';
import type { TapResult } from './tap.ts';
import type { JudgedTiming } from './timing-watch.ts';

/** The entry of what the strike did for a tap. */
export function actuationEntry(
  { doorId }: ReaderSettings,
  { tapId }: PresentedCard,
  body: { readonly [key: string]: JsonValue },
): Occurrence {
  return { kind: 'actuation', tapId, body: { door: doorId, ...body } };
}

/** The entry of an authentication that took unusually long: what it was held against, and what came of it. */
export function timingEntry(
  { doorId: door, readerId: reader }: ReaderSettings,
  tapId: string,
  profile: string,
  { against, medianUs, spreadUs, limitUs, answeredUs, refused, shifted, settled }: JudgedTiming,
): Occurrence {
  const measured = { medianUs, spreadUs: Math.round(spreadUs), limitUs: Math.round(limitUs) };
  const outcome = { refused, limitRaised: shifted, cardSettled: settled };
  const body = { event: 'unusual', door, reader, profile, answeredUs, against, ...measured, ...outcome };
  return { kind: 'timing', tapId, body };
}

/** The entry of a reading that took longer than its deadline, as a relay over a distance makes it: where the time went. */
export function tooSlowEntry(
  { doorId, readerId }: ReaderSettings,
  { tapId, presentedAtUs }: PresentedCard,
  { exchanges, cardUs }: Extract<CardOutcome, { kind: 'too-slow' }>,
  endedUs: number,
): Occurrence {
  const figures = { exchanges, cardUs, tookUs: endedUs - presentedAtUs };
  return {
    kind: 'timing',
    tapId,
    body: { event: 'deadline-exceeded', door: doorId, reader: readerId, ...figures },
  };
}

/** The entry of a tap's end; what is personal stands in the fields that can be erased. */
export function decisionEntry(reader: ReaderSettings, card: PresentedCard, result: TapResult): Occurrence {
  const body: { [key: string]: JsonValue } = { door: reader.doorId, reader: reader.readerId };
  if (reader.from !== undefined) body.from = reader.from;
  if (reader.to !== undefined) body.to = reader.to;
  if (reader.zones && reader.zones.length > 0) body.zones = [...reader.zones];
  if (reader.service) {
    const { id, action, item } = reader.service;
    body.service = { id, ...(action && { action }), ...(item !== undefined && { item }) };
  }
  if (result.kind === 'hold-again') {
    body.result = 'hold-again';
  } else {
    const { decision } = result;
    body.result = decision.kind;
    if (decision.kind === 'denied' || decision.kind === 'waits') body.reason = decision.reason;
    if (result.fault) body.fault = result.fault.code;
    const { demanded, path, ...basis } = decision.basis;
    body.basis = { ...basis, demanded: [...demanded], path: path.map((step) => ({ ...step })) };
    const changes = result.facts?.changes ?? [];
    if (changes.length > 0) body.changes = changes.map((change) => changeRecorded(change, result.holderId));
  }
  if (card.outcome.kind === 'refused' && card.outcome.namedKey) {
    const { profileId, keyVersion } = card.outcome.namedKey;
    body.namedKey = { profile: profileId, keyVersion };
  }
  const read = card.outcome.kind === 'reading' ? card.outcome.reading : undefined;
  const reading = (result.kind === 'decided' ? result.reading : undefined) ?? read;
  const facts = result.kind === 'decided' ? result.facts : undefined;
  const base = { kind: 'decision' as const, tapId: card.tapId, body, ...(facts && { facts }) };
  if (!reading) return base;
  body.card = {
    organization: reading.organization,
    profile: reading.profileId,
    method: reading.method,
    assurance: [...reading.assurance],
    ...(reading.keyVersion === undefined ? {} : { keyVersion: reading.keyVersion }),
    timings: { ...reading.timings },
  };
  const personal: { [field: string]: string } = { userNumber: reading.userNumber };
  // the diversifier tells cards apart and could track one: it is as personal as the number
  if (reading.diversifier !== undefined) personal.diversifier = reading.diversifier;
  return { ...base, personal };
}

/**
 * A change of a fact as an entry tells it, and nobody's name: about the holder of the tap, the terminal as a whole, or
 * the companion who had tapped first.
 */
function changeRecorded({ key, holderId, value }: StateChange, tapOf: string | undefined): JsonValue {
  const person = holderId === tapOf ? 'holder' : 'companion';
  return {
    key,
    about: holderId === undefined ? 'terminal' : person,
    ...(value === undefined ? {} : { value }),
  };
}
