/**
 * A small, slow model of the rules, written from docs/rules.md alone: it keeps nothing but what happened, and works out
 * everything from the beginning for each tap. It says whether a tap may be granted, not why.
 */
export interface ModelPolicy {
  readonly zones: readonly {
    readonly id: string;
    readonly passback?:
      | { readonly forgiveAfterMs?: number | undefined; readonly forgiveAtMinute?: number | undefined }
      | undefined;
    readonly reentryMs?: number | undefined;
    readonly limit?: number | undefined;
  }[];
  readonly permittedDoor: readonly string[];
  readonly permittedZones: readonly { readonly group: string; readonly zone: string }[];
  /** the door demands a PIN */
  readonly pin: boolean;
  readonly exempt: string;
  readonly master: { readonly group: string; readonly freshForMs: number; readonly installedAtMs: number };
  readonly clearances: readonly { readonly group: string; readonly clearance: number }[];
  readonly needs: readonly { readonly fromLevel: number; readonly needs: number }[];
  readonly doorReentryMs?: number | undefined;
  /** two persons, or an escort, or neither */
  readonly together: {
    readonly twoPersonMs?: number;
    readonly escort?: { readonly of: string; readonly by: string; readonly withinMs: number };
  };
  readonly lockOut?:
    | {
        readonly after: number;
        readonly withinMs: number;
        readonly firstMs: number;
        readonly longestMs: number;
      }
    | undefined;
  readonly taxi: { readonly limit: number; readonly per: 'day' | undefined };
}

export interface ModelTime {
  readonly utcMs: number;
  readonly floorMs: number;
  readonly trusted: boolean;
  readonly monotonicMs: number;
  readonly bootId: string;
}

export interface ModelTap {
  readonly kind: 'tap';
  readonly tapId: string;
  readonly reader: string;
  readonly from?: string;
  readonly to?: string;
  readonly holder: string;
  readonly groups: readonly string[];
  readonly pin: boolean;
  readonly service?: 'vote' | 'taxi';
  readonly time: ModelTime;
}

export type ModelEvent =
  | (ModelTap & { readonly outcome: string })
  | { readonly kind: 'declare'; readonly condition: 'lockdown' | 'evacuation'; readonly zone: string }
  | { readonly kind: 'end'; readonly condition: 'lockdown' | 'evacuation'; readonly zone: string }
  | { readonly kind: 'threat'; readonly level: number }
  | { readonly kind: 'reset-zone'; readonly zone: string }
  | { readonly kind: 'forget'; readonly holder: string }
  | { readonly kind: 'not-passed'; readonly tapId: string };

type History = readonly ModelEvent[];
type Happened = Extract<ModelEvent, { kind: 'tap' }>;
const outside = 'outside';
const japanMs = 9 * 3_600_000;
const dayMs = 24 * 3_600_000;

/** Whether the rules let this tap pass after all that happened. */
export function mayPass(policy: ModelPolicy, history: History, tap: ModelTap): boolean {
  if (policy.pin && !tap.pin) return false;
  if (isLockedOut(policy, history, tap)) return false;
  const exempt = tap.groups.includes(policy.exempt);
  if (entersEvacuated(history, tap) && !exempt) return false;
  if (isIn(declared(history, 'lockdown'), [tap.from, tap.to]) && !exempt) return false;
  if (!isServed(policy, history, tap)) return false;
  if (isMaster(policy, tap)) return true;
  return (
    isCleared(policy, history, tap) &&
    isPermitted(policy, tap) &&
    obeysPassback(policy, history, tap) &&
    isLateEnough(policy, history, tap) &&
    findsRoom(policy, history, tap) &&
    (policy.together.twoPersonMs === undefined || partner(policy, history, tap) !== undefined) &&
    isEscorted(policy, history, tap)
  );
}

function isMaster({ master }: ModelPolicy, { groups, time }: ModelTap): boolean {
  const age = time.utcMs - master.installedAtMs;
  return groups.includes(master.group) && time.trusted && age >= 0 && age <= master.freshForMs;
}

/** The zones for which a condition stands, or everywhere. */
function declared(history: History, condition: 'lockdown' | 'evacuation'): ReadonlySet<string> {
  let zones = new Set<string>();
  for (const event of history) {
    if ((event.kind !== 'declare' && event.kind !== 'end') || event.condition !== condition) continue;
    if (event.zone === 'everywhere') zones = new Set(event.kind === 'declare' ? ['everywhere'] : []);
    else if (event.kind === 'declare') zones.add(event.zone);
    else zones.delete(event.zone);
  }
  return zones;
}

function isIn(declaredIn: ReadonlySet<string>, zones: readonly (string | undefined)[]): boolean {
  return declaredIn.has('everywhere') || zones.some((zone) => zone !== undefined && declaredIn.has(zone));
}

function entersEvacuated(history: History, { from, to }: ModelTap): boolean {
  const zone = declared(history, 'evacuation');
  if (!isIn(zone, [to])) return false;
  const comesFromEvacuated = from !== undefined && isIn(zone, [from]);
  return !comesFromEvacuated && !(from !== undefined && to === undefined);
}

function isCleared({ needs, clearances }: ModelPolicy, history: History, tap: ModelTap): boolean {
  const threat = history.findLast((event) => event.kind === 'threat');
  const level = threat?.kind === 'threat' ? threat.level : 0;
  const asked = needs.filter(({ fromLevel }) => level >= fromLevel).map((one) => one.needs);
  const mine = clearances.filter(({ group }) => tap.groups.includes(group)).map((one) => one.clearance);
  return Math.max(0, ...mine) >= Math.max(0, ...asked);
}

function isPermitted({ permittedDoor, permittedZones }: ModelPolicy, { groups, to }: ModelTap): boolean {
  return (
    permittedDoor.some((group) => groups.includes(group)) ||
    permittedZones.some(({ group, zone }) => groups.includes(group) && zone === to)
  );
}

/** Milliseconds that have surely passed between two moments of this terminal. */
function surely(from: ModelTime, to: ModelTime): number {
  if (from.bootId === to.bootId) return to.monotonicMs - from.monotonicMs;
  return Math.max(to.monotonicMs, from.trusted && to.trusted ? counts(to) - counts(from) : 0);
}

function counts({ trusted, utcMs, floorMs }: ModelTime): number {
  return trusted ? utcMs : Math.max(utcMs, floorMs);
}

function isWithin(windowMs: number, from: ModelTime, to: ModelTime): boolean {
  return from.bootId === to.bootId && to.monotonicMs - from.monotonicMs <= windowMs;
}

function taps(history: History): readonly Happened[] {
  return history.filter((event) => event.kind === 'tap');
}

/** Whether the door told that nobody went through under this grant. */
function wentUnused(history: History, tapId: string): boolean {
  return history.some((event) => event.kind === 'not-passed' && event.tapId === tapId);
}

/** Everyone who passes with a tap, from what happened before it. */
function persons(policy: ModelPolicy, before: History, tap: ModelTap): readonly string[] {
  const others = [partner(policy, before, tap)?.holder, escortedBy(policy, before, tap)?.holder];
  return [...new Set([tap.holder, ...others.filter((one) => one !== undefined)])];
}

/** Who waits at the reader for a second person, where this tap is one. */
function partner(policy: ModelPolicy, before: History, tap: ModelTap): Happened | undefined {
  const { twoPersonMs } = policy.together;
  if (twoPersonMs === undefined) return undefined;
  let waiting: Happened | undefined;
  const fits = (first: Happened | undefined, second: ModelTap) =>
    first !== undefined && isWithin(twoPersonMs, first.time, second.time) && first.holder !== second.holder;
  for (const event of taps(before).filter(({ reader }) => reader === tap.reader)) {
    if (event.outcome === 'second-person') waiting = event;
    else if (event.outcome === 'granted' && fits(waiting, event)) waiting = undefined;
  }
  return fits(waiting, tap) ? waiting : undefined;
}

function escortedBy(policy: ModelPolicy, before: History, tap: ModelTap): Happened | undefined {
  const { escort } = policy.together;
  if (!escort || !tap.groups.includes(escort.by)) return undefined;
  const last = taps(before).findLast(
    ({ reader, outcome, groups }) =>
      reader === tap.reader &&
      (outcome === 'escort' || (outcome === 'granted' && groups.includes(escort.by))),
  );
  const waits = last?.outcome === 'escort' && isWithin(escort.withinMs, last.time, tap.time);
  return waits ? last : undefined;
}

function isEscorted({ together: { escort } }: ModelPolicy, history: History, tap: ModelTap): boolean {
  if (!escort || tap.groups.includes(escort.by) || !tap.groups.includes(escort.of)) return true;
  return taps(history).some(
    (event) =>
      event.reader === tap.reader &&
      event.outcome === 'granted' &&
      event.groups.includes(escort.by) &&
      isWithin(escort.withinMs, event.time, tap.time),
  );
}

/** Every passage of a person that stood, in order, with the place it led to. */
function passages(policy: ModelPolicy, history: History) {
  return history.flatMap((event, at) => {
    if (event.kind !== 'tap' || event.outcome !== 'granted' || wentUnused(history, event.tapId)) return [];
    return persons(policy, history.slice(0, at), event).map((holder) => ({ holder, at, tap: event }));
  });
}

/** Where a holder is and since when; undefined where nobody knows. */
function place(policy: ModelPolicy, history: History, holder: string) {
  const last = passages(policy, history).findLast(
    (one) => one.holder === holder && one.tap.from !== one.tap.to,
  );
  if (!last) return undefined;
  const { to } = last.tap;
  const zone = to !== undefined && policy.zones.some(({ id }) => id === to) ? to : outside;
  const lost = history
    .slice(last.at)
    .some(
      (event) =>
        (event.kind === 'reset-zone' && event.zone === zone) ||
        (event.kind === 'forget' && event.holder === holder),
    );
  return lost ? undefined : { zone, since: last.tap.time };
}

function obeysPassback(policy: ModelPolicy, history: History, tap: ModelTap): boolean {
  const { from, to } = tap;
  if (from === to) return true;
  const now = place(policy, history, tap.holder);
  if (!now) return true;
  return policy.zones.every(({ id, passback }) => {
    if (!passback || tap.groups.includes(policy.exempt)) return true;
    const offends = (id === to && now.zone === id) || (id === from && now.zone !== id);
    if (!offends) return true;
    const { forgiveAfterMs, forgiveAtMinute } = passback;
    if (forgiveAfterMs !== undefined && surely(now.since, tap.time) >= forgiveAfterMs) return true;
    if (forgiveAtMinute === undefined || !now.since.trusted || !tap.time.trusted) return false;
    const shiftMs = japanMs - forgiveAtMinute * 60_000;
    const lastAtMs = Math.floor((tap.time.utcMs + shiftMs) / dayMs) * dayMs - shiftMs;
    return now.since.utcMs < lastAtMs;
  });
}

function isLateEnough(policy: ModelPolicy, history: History, tap: ModelTap): boolean {
  const { doorReentryMs, zones } = policy;
  const zoneMs = zones.find(({ id }) => id === tap.to)?.reentryMs;
  const same = passages(policy, history).filter((one) => one.holder === tap.holder && one.tap.to === tap.to);
  const passed = same.at(-1);
  if (passed && surely(passed.tap.time, tap.time) < (doorReentryMs ?? 0)) return false;
  const entered = same.findLast((one) => one.tap.from !== one.tap.to);
  const enters = tap.from !== tap.to;
  return !entered || !enters || surely(entered.tap.time, tap.time) >= (zoneMs ?? 0);
}

function findsRoom(policy: ModelPolicy, history: History, tap: ModelTap): boolean {
  const limit = policy.zones.find(({ id }) => id === tap.to)?.limit;
  if (limit === undefined || tap.from === tap.to) return true;
  const known = new Set(passages(policy, history).map(({ holder }) => holder));
  const inside = new Set([...known].filter((holder) => place(policy, history, holder)?.zone === tap.to));
  const entering = persons(policy, history, tap).filter((holder) => !inside.has(holder));
  return entering.length === 0 || inside.size + entering.length <= limit;
}

function isServed({ taxi }: ModelPolicy, history: History, tap: ModelTap): boolean {
  const used = taps(history).filter(
    ({ holder, outcome, service }) =>
      holder === tap.holder && outcome === 'granted' && service === tap.service,
  );
  const stood = used.filter(({ tapId }) => !wentUnused(history, tapId));
  if (tap.service === 'vote') return stood.length === 0;
  if (tap.service !== 'taxi') return true;
  if (taxi.per === undefined) return stood.length < taxi.limit;
  const now = dayOfUse([...used, tap], tap);
  return now !== undefined && stood.filter((event) => dayOfUse(used, event) === now).length < taxi.limit;
}

/** The day a use counts for: the latest that a trusted clock had shown by then. */
function dayOfUse(used: readonly ModelTap[], event: ModelTap): number | undefined {
  const days = used.slice(0, used.indexOf(event) + 1).filter(({ time }) => time.trusted);
  return days.length === 0 ? undefined : Math.max(...days.map(({ time }) => dayOf(time)));
}

function dayOf({ utcMs }: ModelTime): number {
  return Math.floor((utcMs + japanMs) / dayMs);
}

/** Failures are taps without a permission, of this boot. */
function isLockedOut({ lockOut }: ModelPolicy, history: History, tap: ModelTap): boolean {
  if (!lockOut) return false;
  let failed: number[] = [];
  let rounds = 0;
  let untilMs = 0;
  for (const event of taps(history)) {
    if (event.holder !== tap.holder || event.time.bootId !== tap.time.bootId) continue;
    const nowMs = event.time.monotonicMs;
    if (event.outcome === 'granted') {
      failed = [];
      rounds = 0;
      untilMs = 0;
    }
    if (event.outcome !== 'no-permission') continue;
    if (nowMs - untilMs > lockOut.longestMs) rounds = 0;
    const [first] = failed;
    if (first !== undefined && nowMs - first > lockOut.withinMs) failed = [];
    failed.push(nowMs);
    if (failed.length < lockOut.after) continue;
    untilMs = nowMs + Math.min(lockOut.firstMs * 2 ** rounds, lockOut.longestMs);
    rounds += 1;
    failed = [];
  }
  return tap.time.monotonicMs < untilMs;
}
