import type { RecordStatus } from '#core/access/policy.ts';

/** Key of a card: which profile, which user number and, where that is known, which physical card. */
export interface CardKey {
  readonly profileId: string;
  readonly userNumber: string;
  /** upper-case hexadecimal; empty: any card with the user number */
  readonly diversifier: string;
}

export interface CardState extends CardKey {
  readonly status: RecordStatus;
  readonly keyVersion: number | null;
}

/** What is recorded of a holder. What an administrator has suspended stands apart from it. */
export interface HolderState {
  readonly status: RecordStatus;
  readonly validFromMs: number | null;
  readonly validUntilMs: number | null;
  /** sorted, each once */
  readonly groups: readonly string[];
  /** sorted by key */
  readonly cards: readonly CardState[];
}

const fields = ['status', 'validFromMs', 'validUntilMs'] as const;
type Field = (typeof fields)[number];
type Fields = Partial<Pick<HolderState, Field>>;

/** A change of a holder: no more than what differs, so that changes of different things do not undo one another. */
export type HolderChange =
  | { readonly kind: 'add'; readonly to: HolderState }
  | { readonly kind: 'remove' }
  | {
      readonly kind: 'edit';
      readonly from: Fields;
      readonly to: Fields;
      readonly join: readonly string[];
      readonly leave: readonly string[];
      readonly cards: readonly CardChange[];
    };

/** `from` or `to` undefined: the holder did not have the card, or is not to have it. */
export interface CardChange {
  readonly key: CardKey;
  readonly from?: Omit<CardState, keyof CardKey>;
  readonly to?: Omit<CardState, keyof CardKey>;
}

/** What of a change could not be applied, because somebody has changed the same thing meanwhile. */
export type Conflict =
  | Field
  | 'card'
  | 'holder'
  /** an administrator has suspended the holder, who stays so */
  | 'suspended';

export function cardKeyText({ profileId, userNumber, diversifier }: CardKey): string {
  return `${profileId}\n${userNumber}\n${diversifier}`;
}

/** Both of equal cards and groups in their order, so that states can be compared. */
export function inOrder(state: HolderState): HolderState {
  const cards = state.cards.toSorted((a, b) => compare(cardKeyText(a), cardKeyText(b)));
  return { ...state, groups: [...new Set(state.groups)].sort(compare), cards };
}

/** What leads from one state to another; undefined where they are the same. Both are in order. */
export function changeBetween(
  from: HolderState | undefined,
  to: HolderState | undefined,
): HolderChange | undefined {
  if (!from) return to && { kind: 'add', to };
  if (!to) return { kind: 'remove' };
  const differing = fields.filter((field) => from[field] !== to[field]);
  const pick = (state: HolderState): Fields =>
    Object.fromEntries(differing.map((field) => [field, state[field]])) as Fields;
  const join = to.groups.filter((group) => !from.groups.includes(group));
  const leave = from.groups.filter((group) => !to.groups.includes(group));
  const cards = cardChanges(from.cards, to.cards);
  if (differing.length + join.length + leave.length + cards.length === 0) return undefined;
  return { kind: 'edit', from: pick(from), to: pick(to), join, leave, cards };
}

function cardChanges(from: readonly CardState[], to: readonly CardState[]): CardChange[] {
  const before = new Map(from.map((card) => [cardKeyText(card), card]));
  const after = new Map(to.map((card) => [cardKeyText(card), card]));
  const changes: CardChange[] = [];
  for (const [key, card] of before) {
    const next = after.get(key);
    if (!next) changes.push({ key: keyOf(card), from: dataOf(card) });
    else if (!sameValue(card, next)) changes.push({ key: keyOf(card), from: dataOf(card), to: dataOf(next) });
  }
  for (const [key, card] of after) {
    if (!before.has(key)) changes.push({ key: keyOf(card), to: dataOf(card) });
  }
  return changes;
}

/**
 * A change in two parts, to be applied one after the other: what it gives, and what takes a card or everything away.
 * Either is undefined where there is nothing of it.
 */
export function inParts(change: HolderChange): {
  readonly gives: HolderChange | undefined;
  readonly takes: HolderChange | undefined;
} {
  if (change.kind === 'add') return { gives: change, takes: undefined };
  if (change.kind === 'remove') return { gives: undefined, takes: change };
  const { from, to } = change;
  const ends = to.status !== undefined && to.status !== 'active';
  const lost = change.cards.filter((card) => !card.to);
  if (!ends && lost.length === 0) return { gives: change, takes: undefined };
  const { status: before, ...others } = from;
  const { status: _status, ...otherwise } = to;
  const gives = {
    ...change,
    from: ends ? others : from,
    to: ends ? otherwise : to,
    cards: change.cards.filter((card) => card.to),
  };
  const { join, leave, cards } = gives;
  const isNothing = Object.keys(gives.to).length + join.length + leave.length + cards.length === 0;
  return {
    gives: isNothing ? undefined : gives,
    takes: {
      kind: 'edit',
      from: ends && before !== undefined ? { status: before } : {},
      to: ends && to.status !== undefined ? { status: to.status } : {},
      join: [],
      leave: [],
      cards: lost,
    },
  };
}

/**
 * Applies a change that was made to an earlier state. What somebody has changed meanwhile stays as that person made
 * it and is a conflict, with one exception: an end (status `ended`, a card or a holder removed) is applied always,
 * since a change that takes access away must not fail for another that was made beside it.
 */
export function applyChange(
  current: HolderState | undefined,
  change: HolderChange,
): { readonly next: HolderState | undefined; readonly conflicts: readonly Conflict[] } {
  if (change.kind === 'remove') return { next: undefined, conflicts: [] };
  if (change.kind === 'add') {
    if (!current) return { next: change.to, conflicts: [] };
    return { next: current, conflicts: changeBetween(current, change.to) ? ['holder'] : [] };
  }
  if (!current) return { next: undefined, conflicts: ['holder'] };
  const conflicts: Conflict[] = [];
  const next: { -readonly [K in keyof HolderState]: HolderState[K] } = { ...current };
  for (const field of fields) {
    if (!(field in change.to) || current[field] === change.to[field]) continue;
    const ends = field === 'status' && change.to.status === 'ended';
    if (current[field] === change.from[field] || ends) Object.assign(next, { [field]: change.to[field] });
    else conflicts.push(field);
  }
  next.groups = [...current.groups.filter((group) => !change.leave.includes(group)), ...change.join];
  next.cards = applyCards(current.cards, change.cards, conflicts);
  return { next: inOrder(next), conflicts };
}

function applyCards(
  current: readonly CardState[],
  changes: readonly CardChange[],
  conflicts: Conflict[],
): CardState[] {
  const cards = new Map(current.map((card) => [cardKeyText(card), card]));
  for (const { key, from, to } of changes) {
    const text = cardKeyText(key);
    const card = cards.get(text);
    if (!to) cards.delete(text);
    else if (card && sameValue(card, to)) continue;
    else if ((card && from && sameValue(card, from)) || (!card && !from) || (card && to.status === 'ended')) {
      cards.set(text, { ...key, ...to });
    } else conflicts.push('card');
  }
  return [...cards.values()];
}

function sameValue(a: Omit<CardState, keyof CardKey>, b: Omit<CardState, keyof CardKey>): boolean {
  return a.status === b.status && a.keyVersion === b.keyVersion;
}

function keyOf({ profileId, userNumber, diversifier }: CardKey): CardKey {
  return { profileId, userNumber, diversifier };
}

function dataOf({ status, keyVersion }: CardState): Omit<CardState, keyof CardKey> {
  return { status, keyVersion };
}

/** In the order of their bytes in UTF-16, as the policy of a terminal has them. */
function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
