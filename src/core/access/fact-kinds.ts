import type { z } from 'zod';
import { isFault } from '#core/fault.ts';
import { canonicalJson } from '#core/journal/canonical-json.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { type AccessState, type Facts, factOf, type StateChange } from './access-state.ts';
import { counted, joinParts, type Parts, total } from './counting.ts';
import { type Moment, momentSchema } from './moment.ts';
import type { DoorRules } from './policy.ts';
import {
  countSchema,
  epochSchema,
  forgetPosition,
  positionOf,
  positionSchema,
  recount,
} from './rules/position.ts';
import { attendanceSchema } from './rules/services/attendance.ts';
import { itemSchema, loansSchema } from './rules/services/loan.ts';
import { usesSchema } from './rules/services/uses.ts';

/** Two terminals granted, each by what it knew, what they would not have granted together. */
export type Conflict =
  | 'entered-twice'
  | 'zone-overfull'
  | 'admitted-twice'
  | 'uses-exceeded'
  | 'loans-exceeded'
  | 'lent-twice';

/** What one kind of fact does when terminals tell each other theirs, and when a grant is taken back. */
interface FactKind {
  readonly pattern: RegExp;
  /** of two values the one that holds for both terminals: commutative, associative, idempotent */
  join(a: JsonValue, b: JsonValue, key: string): JsonValue;
  /** what two terminals that both changed it have done to each other */
  conflict?(a: JsonValue, b: JsonValue, key: string, rules: DoorRules): Conflict | undefined;
  /** the value now without what `granted` counted over `before`; without it, a fact is simply as it was before */
  without?(
    now: JsonValue,
    granted: JsonValue,
    before: JsonValue | undefined,
    key: string,
    terminal: string,
  ): JsonValue;
}

const kinds: readonly FactKind[] = [
  {
    pattern: /^at$/,
    join: latest(positionSchema, ({ since }) => rankOf(since)),
    conflict: (a, b, key) => {
      const [one, other] = [read(positionSchema, key, a), read(positionSchema, key, b)];
      const elsewhere = one.since.terminal !== other.since.terminal;
      return one.zone !== null && one.zone === other.zone && elsewhere ? 'entered-twice' : undefined;
    },
  },
  { pattern: /^epoch\//, join: latest(epochSchema, (epoch) => [epoch]) },
  {
    pattern: /^count\//,
    join: (a, b, key) => {
      const [one, other] = [read(countSchema, key, a), read(countSchema, key, b)];
      if (one.epoch !== other.epoch) return one.epoch > other.epoch ? a : b;
      return { epoch: one.epoch, parts: joinParts(one.parts, other.parts) };
    },
    conflict: (a, b, key, { zones }) => {
      const limit = zones.get(key.slice('count/'.length))?.occupancy?.limit;
      const [one, other] = [read(countSchema, key, a), read(countSchema, key, b)];
      return one.epoch === other.epoch && exceeds(joinParts(one.parts, other.parts), limit)
        ? 'zone-overfull'
        : undefined;
    },
  },
  { pattern: /^passed\//, join: latest(momentSchema, rankOf) },
  { pattern: /^attendance\//, join: latest(attendanceSchema, ({ since }) => rankOf(since)) },
  {
    pattern: /^once\//,
    // the first admission is the one that counts
    join: latest(momentSchema, ({ utcMs, terminal }) => [-utcMs, terminal]),
    conflict: (a, b) => (canonicalJson(a) === canonicalJson(b) ? undefined : 'admitted-twice'),
  },
  {
    pattern: /^uses\//,
    join: (a, b, key) => {
      const [one, other] = [read(usesSchema, key, a), read(usesSchema, key, b)];
      if (one.period !== other.period) return one.period > other.period ? a : b;
      return { period: one.period, parts: joinParts(one.parts, other.parts) };
    },
    conflict: (a, b, key, rules) => {
      const [one, other] = [read(usesSchema, key, a), read(usesSchema, key, b)];
      const limit = limitOf(key.split('/')[1], 'uses', rules);
      return one.period === other.period && exceeds(joinParts(one.parts, other.parts), limit)
        ? 'uses-exceeded'
        : undefined;
    },
    without: (now, granted, before, key, terminal) => {
      const [current, then] = [read(usesSchema, key, now), read(usesSchema, key, granted)];
      if (current.period !== then.period) return now;
      const earlier = before === undefined ? undefined : read(usesSchema, key, before);
      const base = earlier?.period === then.period ? earlier.parts : [];
      return { period: current.period, parts: uncounted(current.parts, then.parts, base, terminal) };
    },
  },
  {
    pattern: /^loans\//,
    join: (a, b, key) => joinParts(read(loansSchema, key, a), read(loansSchema, key, b)),
    conflict: (a, b, key, rules) => {
      const parts = joinParts(read(loansSchema, key, a), read(loansSchema, key, b));
      return exceeds(parts, limitOf(key.split('/')[1], 'loan', rules)) ? 'loans-exceeded' : undefined;
    },
  },
  {
    pattern: /^loan\//,
    join: latest(itemSchema, ({ v, out, terminal }) => [v, out ? 1 : 0, terminal]),
    conflict: (a, b, key) => {
      const [one, other] = [read(itemSchema, key, a), read(itemSchema, key, b)];
      return one.out && other.out && one.terminal !== other.terminal ? 'lent-twice' : undefined;
    },
  },
];

/**
 * What holds of a fact that two terminals know differently; undefined for a kind that is one terminal's own business.
 * The order in which terminals hear of each other, and how often, changes nothing.
 */
export function joinFacts(key: string, a: JsonValue, b: JsonValue): JsonValue | undefined {
  return kindOf(key)?.join(a, b, key);
}

/** Whether this is a fact of a kind that terminals tell each other, and its value as its rule writes it. */
export function canBeJoined(key: string, value: JsonValue): boolean {
  const kind = kindOf(key);
  if (!kind) return false;
  try {
    kind.join(value, value, key);
    return true;
  } catch (error) {
    if (isFault(error, 'database-invalid')) return false;
    throw error;
  }
}

/**
 * What two terminals of a group did to each other while they could not talk: `base` is what both knew when they last
 * did. Nothing where only one of them changed the fact. To be told to staff; the join decides how things go on.
 */
export function conflictIn(asked: {
  readonly key: string;
  readonly base: JsonValue | undefined;
  readonly ours: JsonValue | undefined;
  readonly theirs: JsonValue | undefined;
  readonly rules: DoorRules;
}): Conflict | undefined {
  const { key, base, ours, theirs, rules } = asked;
  if (ours === undefined || theirs === undefined) return undefined;
  if (isSame(ours, base) || isSame(theirs, base)) return undefined;
  return kindOf(key)?.conflict?.(ours, theirs, key, rules);
}

/** A change that a grant made, what the fact was before, and what it is now. */
export interface Passage {
  readonly change: StateChange;
  readonly before: JsonValue | undefined;
  readonly now: JsonValue | undefined;
}

/** What came of a grant: the door was opened and nobody went through, or it was not opened at all. */
export type Unused = 'not-passed' | 'not-opened';

/** Whether a fact can be taken back at all, once it is durable. */
export function isRevocable({ ifPassed, ifObeyed }: StateChange): boolean {
  return ifPassed === true || ifObeyed === true;
}

/**
 * What takes back a grant that was not used: uses are counted back, whoever has not moved since is where they were, and
 * zones hold as many people fewer. What somebody has changed since stays; so does what held of the grant alone, and
 * under a door that was opened, what that door obeyed.
 */
export function takenBack(
  passages: readonly Passage[],
  unused: Unused,
  state: Pick<AccessState, 'shared' | 'terminal'>,
): readonly StateChange[] {
  const found = passages.flatMap((passage) => {
    const { ifPassed, ifObeyed } = passage.change;
    const meant = ifPassed || (ifObeyed && unused === 'not-opened');
    const change = meant && restored(passage, state.terminal);
    return change ? [{ passage, change }] : [];
  });
  const moved = found
    .filter(({ change }) => change.key === 'at')
    .map(({ passage }) => ({
      from: positionOf(passage.now, state),
      to: positionOf(passage.before, state),
    }));
  return [...found.map(({ change }) => change), ...recount(moved, state)];
}

/**
 * `later` once the grant it rested on, `undone`, was not used: what it would put back is what was before both. Counts
 * need none of that, of which each grant takes back its own.
 */
export function rebased<T extends Omit<Passage, 'now'>>(later: T, undone: Omit<Passage, 'now'>): T {
  const { key, holderId, value } = undone.change;
  const restsOn = later.change.key === key && later.change.holderId === holderId;
  const built = restsOn && value !== undefined && isSame(value, later.before) && !kindOf(key)?.without;
  return built ? { ...later, before: undone.before } : later;
}

function restored({ change, before, now }: Passage, terminal: string): StateChange | undefined {
  const { key, holderId, value: granted } = change;
  const about = { key, ...(holderId === undefined ? {} : { holderId }) };
  if (granted === undefined) {
    return now === undefined && before !== undefined ? { ...about, value: before } : undefined;
  }
  if (now === undefined) return undefined;
  const without = kindOf(key)?.without;
  if (without) return { ...about, value: without(now, granted, before, key, terminal) };
  if (!isSame(now, granted)) return undefined;
  return before === undefined ? about : { ...about, value: before };
}

/**
 * What forgets all that is remembered of a holder: they are nowhere, and what they had on loan is back, for nobody else
 * could return it.
 */
export function holderForgotten(
  holderId: string,
  facts: Facts,
  state: Pick<AccessState, 'shared' | 'terminal'>,
): readonly StateChange[] {
  const position = facts.has('at') ? forgetPosition(holderId, facts.get('at'), state) : [];
  const others = [...facts].filter(([key]) => key !== 'at');
  return [
    ...position,
    ...others.map(([key]) => ({ key, holderId })),
    ...others.flatMap(([key, value]) => (key.startsWith('loan/') ? returned(key, value, state) : [])),
  ];
}

function returned(
  key: string,
  value: JsonValue,
  { shared, terminal }: Pick<AccessState, 'shared' | 'terminal'>,
): readonly StateChange[] {
  const [own, item] = [factOf(itemSchema, key, value), factOf(itemSchema, key, shared(key))];
  if (!item?.out || item.v !== own?.v) return [];
  return [{ key, value: { v: item.v + 1, out: false, terminal } }];
}

function kindOf(key: string): FactKind | undefined {
  return kinds.find(({ pattern }) => pattern.test(key));
}

function read<T>(schema: z.ZodType<T>, key: string, value: JsonValue): T {
  return factOf(schema, key, value) as T;
}

function isSame(a: JsonValue, b: JsonValue | undefined): boolean {
  return b !== undefined && canonicalJson(a) === canonicalJson(b);
}

/** Joins by the higher rank, and by the text itself where ranks are equal, so that both sides choose alike. */
function latest<T>(schema: z.ZodType<T>, rank: (value: T) => readonly (number | string)[]): FactKind['join'] {
  return (a, b, key) => {
    const [ranksA, ranksB] = [rank(read(schema, key, a)), rank(read(schema, key, b))];
    for (const [at, one] of ranksA.entries()) {
      const other = ranksB[at];
      if (other !== undefined && one !== other) return one > other ? a : b;
    }
    return canonicalJson(a) >= canonicalJson(b) ? a : b;
  };
}

function rankOf({ utcMs, terminal }: Moment): readonly (number | string)[] {
  return [utcMs, terminal];
}

function exceeds(parts: Parts, limit: number | undefined): boolean {
  return limit !== undefined && total(parts) > limit;
}

function limitOf(id: string | undefined, kind: 'uses' | 'loan', { site }: DoorRules): number | undefined {
  const service = site.services.find((one) => one.id === id && one.kind === kind);
  return service && 'limit' in service ? service.limit : undefined;
}

function uncounted(now: Parts, granted: Parts, before: Parts, terminal: string): Parts {
  const of = (parts: Parts) => parts.find((part) => part.terminal === terminal)?.n ?? 0;
  return counted(now, terminal, of(before) - of(granted));
}
