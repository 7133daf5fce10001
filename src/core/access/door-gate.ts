import { endRelease, endUnopened } from './door-release.ts';
import type { DoorState, Release } from './door-state.ts';
import { causeOf, type DoorTurn } from './door-turn.ts';
import { cancelGrace } from './door-watch.ts';

/** how long the alarm of a passage nobody was granted stands, in milliseconds */
const tailgatedForMs = 10_000;

/** Somebody steps into the gate, or out of it: what is over by then closes only now. */
export function obstructed(turn: DoorTurn, active: boolean): void {
  const { obstruction, strike } = turn.state;
  if (active === (obstruction !== 'clear')) return;
  turn.become({ obstruction: active ? 'present' : 'clear' });
  if (active) return;
  turn.cancel('obstructed');
  if (strike.kind === 'unlocked' && strike.release.over && !turn.exitHolds()) endUnopened(turn);
  if (obstruction === 'delaying') turn.record('obstructed-ended');
}

/** Somebody keeps the gate from closing for too long: it stays open, as closing on people is worse, and alarms. */
export function obstructedTooLong(turn: DoorTurn): void {
  const { obstruction, strike } = turn.state;
  if (obstruction !== 'present' || strike.kind === 'locked' || !strike.release.over) return;
  turn.become({ obstruction: 'delaying' });
  turn.record('obstructed');
}

/** What lets people pass who were not granted: a hold or an exit request, also just after it, or while its leaf stands open. */
function openFor({ strike, leaf }: DoorState): Release['by'] | undefined {
  if (strike.kind === 'unlocked' && strike.release.by !== 'grant') return strike.release.by;
  if (leaf.kind === 'grace') return leaf.release.by;
  return leaf.kind === 'open' && leaf.by === 'exit-request' ? leaf.by : undefined;
}

/** One person has passed: the first of those granted, and behind the last of them the gate closes. */
export function personPassed(turn: DoorTurn): void {
  if (turn.settings.passage === 'none') return;
  const { awaiting, strike } = turn.state;
  const [tapId, ...rest] = awaiting;
  if (tapId !== undefined) {
    turn.become({ awaiting: rest });
    const last = rest.length === 0 && strike.kind === 'unlocked' && strike.release.by === 'grant';
    const locked = last && !turn.exitHolds() && endRelease(turn);
    turn.record('passed', { by: 'grant', tapId });
    if (locked) turn.record('relocked', causeOf(strike.release));
    if (rest.length === 0 && strike.kind === 'locked') cancelGrace(turn);
    return;
  }
  const by = openFor(turn.state);
  if (by !== undefined && by !== 'grant') {
    turn.record('passed', { by });
    return;
  }
  turn.become({ tailgated: true });
  turn.setTimer('tailgated', tailgatedForMs);
  turn.record('tailgated');
}
