import type { StateChange } from './access-state.ts';
import type { Decision, DecisionBasis, Obligations, PathStep, TapAlarm } from './decision.ts';
import type { DecisionTime, Rule, Tap, Verdict } from './rule.ts';
import { assurance, demandedAssurance } from './rules/assurance.ts';
import { duress } from './rules/duress.ts';
import { escort } from './rules/escort.ts';
import { evacuation } from './rules/evacuation.ts';
import { endsHold, hold } from './rules/hold.ts';
import { afterFailure, holderLockOut, readerLockOut } from './rules/lock-out.ts';
import { lockdown } from './rules/lockdown.ts';
import { longerAccess } from './rules/longer-access.ts';
import { masterCard } from './rules/master-card.ts';
import { occupancy } from './rules/occupancy.ts';
import { passback } from './rules/passback.ts';
import { permission } from './rules/permission.ts';
import { policyAge } from './rules/policy-age.ts';
import { position } from './rules/position.ts';
import { reentry } from './rules/reentry.ts';
import { registration } from './rules/registration.ts';
import { service } from './rules/service.ts';
import { threat } from './rules/threat-level.ts';
import { twoPerson } from './rules/two-person.ts';

/**
 * The precedence table of everything that may open a door or keep it shut, highest first. A decision asks its rules in
 * this order and the first that denies ends it. What has no rule here is above or beside cards: `door` names what the
 * door itself obeys, in the place where it stands among the rules.
 *
 * Who the card is comes before everything, so that a reason never tells a stranger about the site. What protects people
 * comes before what protects things, and what holds for the site before what holds for the door and the holder.
 */
export const precedence: readonly (Rule | { readonly name: DoorRow; readonly door: true })[] = [
  { name: 'fire', door: true },
  { name: 'exit-request', door: true },
  readerLockOut,
  registration,
  assurance,
  holderLockOut,
  duress,
  evacuation,
  lockdown,
  { name: 'interlock', door: true },
  { name: 'command', door: true },
  masterCard,
  threat,
  policyAge,
  permission,
  longerAccess,
  passback,
  reentry,
  occupancy,
  twoPerson,
  escort,
  hold,
  position,
  service,
];
type DoorRow = 'fire' | 'exit-request' | 'interlock' | 'command';

const rules = precedence.filter((row): row is Rule => 'check' in row);

/** Milliseconds UTC that a decision at `time` is made with. */
export function effectiveMs(time: DecisionTime): number {
  return time.trusted ? time.utcMs : Math.max(time.utcMs, time.floorMs);
}

/**
 * Decides a reading at a door: granted with obligations, denied with the first reason that applies, needing a PIN, or
 * waiting for somebody else. Pure: the same arguments give the same decision, byte for byte.
 */
export function decide(asked: Omit<Tap, 'timeMs'>): Decision {
  const tap: Tap = { ...asked, timeMs: effectiveMs(asked.time) };
  const path: PathStep[] = [];
  const passed: Extract<Verdict, { kind: 'passed' }>[] = [];
  let unmet: Extract<Verdict, { kind: 'needs' | 'waits' }> | undefined;
  let outranked = false;
  for (const rule of rules) {
    if (rule.ofPassing && endsHold(tap)) continue;
    const verdict = rule.check(tap);
    if (!verdict) continue;
    const { kind, used } = verdict;
    const inVain = outranked && kind !== 'passed' && !rule.outrankedByNone;
    path.push({ rule: rule.name, verdict: inVain ? 'outranked' : kind, ...(used ? { used } : {}) });
    if (inVain) continue;
    if (kind === 'denied') return denial(tap, path, verdict, alarmsOf(passed));
    if (kind === 'passed') {
      passed.push(verdict);
      outranked ||= verdict.outranks ?? false;
    } else unmet ??= verdict;
  }
  const basis = basisOf(tap, path);
  const alarms = alarmsOf(passed);
  if (unmet?.kind === 'needs') return { kind: 'needs', property: unmet.property, basis };
  if (unmet) return { kind: 'waits', reason: unmet.reason, basis, changes: unmet.changes ?? [], alarms };
  return {
    kind: 'granted',
    basis,
    obligations: Object.assign({}, ...passed.map(({ obligations }) => obligations)) as Obligations,
    changes: passed.flatMap<StateChange>(({ changes }) => changes ?? []),
    alarms,
  };
}

function denial(
  tap: Tap,
  path: readonly PathStep[],
  { reason, changes = [] }: Extract<Verdict, { kind: 'denied' }>,
  alarms: readonly TapAlarm[],
): Decision {
  const failure = afterFailure({ ...tap, rules: tap.slice.rules, reason, ...who(tap) });
  return {
    kind: 'denied',
    reason,
    basis: basisOf(tap, path),
    changes: [...changes, ...failure.changes],
    alarms: failure.lockedOut ? [...alarms, 'locked-out'] : alarms,
  };
}

/** A card that could be a copy must not lock out the holder it claims. */
function who({ request: { readerId }, slice: { holder }, reading }: Tap) {
  const proven = holder && reading.assurance.includes('mutual-authentication');
  return proven ? { readerId, holderId: holder.holderId } : { readerId };
}

function alarmsOf(passed: readonly Extract<Verdict, { kind: 'passed' }>[]): readonly TapAlarm[] {
  return passed.flatMap<TapAlarm>(({ alarms }) => alarms ?? []);
}

function basisOf(tap: Tap, path: readonly PathStep[]): DecisionBasis {
  const { slice, request, time, timeMs } = tap;
  return {
    policyVersion: slice.version.number,
    doorId: request.doorId,
    timeMs,
    clock: time.trusted ? 'trusted' : 'untrusted',
    demanded: demandedAssurance(tap),
    path,
  };
}
