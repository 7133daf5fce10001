import type { Release } from './door-state.ts';
import { causeOf, type DoorTurn } from './door-turn.ts';

/** How long the leaf may stand open from now on; while the door is held unlocked, for as long as it likes. */
export function startHeldOpenTime(turn: DoorTurn, longerMs = 0): void {
  const { preAlarmMs } = turn.settings;
  const heldOpenAfterMs = Math.max(longerMs, turn.settings.heldOpenAfterMs);
  turn.cancel('pre-alarm', 'held-open');
  if (turn.state.mode.kind === 'held') return;
  if (preAlarmMs === 0) turn.setTimer('held-open', heldOpenAfterMs);
  else turn.setTimer('pre-alarm', Math.max(0, heldOpenAfterMs - preAlarmMs));
}

export function heldOpenWarning(turn: DoorTurn): void {
  const { leaf } = turn.state;
  if (leaf.kind !== 'open') return;
  turn.become({ leaf: { ...leaf, held: 'warned' } });
  turn.setTimer('held-open', Math.min(turn.settings.preAlarmMs, turn.settings.heldOpenAfterMs));
  turn.record('held-open-pre-alarm');
}

export function heldOpen(turn: DoorTurn): void {
  const { leaf } = turn.state;
  if (leaf.kind !== 'open') return;
  turn.become({ leaf: { ...leaf, held: 'held' } });
  turn.record('held-open');
}

/**
 * A release has ended without an opening. After a relock an opening or a passage still counts as the holder's for a
 * while: the leaf was in the hand already.
 */
export function startGrace(turn: DoorTurn, ended: Release): void {
  const { leaf, strike, awaiting } = turn.state;
  const { openGraceMs, exitMs, passage } = turn.settings;
  const watched = leaf.kind === 'closed' || (passage === 'fitted' && awaiting.length > 0);
  const lengthMs = ended.shunted ? Math.max(openGraceMs, exitMs) : openGraceMs;
  if (!watched || strike.kind === 'unlocked' || lengthMs === 0) {
    recordNotOpened(turn);
    return;
  }
  const release: Release = ended.shunted ? { by: 'exit-request', lengthMs, use: 'unused' } : ended;
  if (leaf.kind === 'closed') turn.become({ leaf: { kind: 'grace', release } });
  turn.setTimer('grace', lengthMs);
}

/** An exit request that unlocks nothing: an opening now is somebody's who leaves by the handle. */
export function startShunt(turn: DoorTurn): void {
  const { leaf, strike } = turn.state;
  if (strike.kind === 'unlocked') {
    turn.become({ strike: { kind: 'unlocked', release: { ...strike.release, shunted: true } } });
    return;
  }
  if (leaf.kind !== 'closed') return;
  const lengthMs = turn.settings.exitMs;
  turn.become({ leaf: { kind: 'grace', release: { by: 'exit-request', lengthMs, use: 'unused' } } });
  turn.setTimer('grace', lengthMs);
}

/** The leaf of a gate has closed behind a relock: who was granted and does not pass any more has not passed. */
export function awaitLastPassage(turn: DoorTurn): void {
  const { awaiting, strike } = turn.state;
  if (awaiting.length > 0 && strike.kind === 'locked') turn.setTimer('grace', turn.settings.openGraceMs);
}

export function graceOver(turn: DoorTurn): void {
  const { leaf, exit } = turn.state;
  if (leaf.kind === 'grace') turn.become({ leaf: { kind: 'closed' } });
  recordNotOpened(turn);
  if (exit === 'pressed' && turn.settings.exitRequest === 'shunt') startShunt(turn);
}

/** Ends the grace of a closed leaf, as the door unlocks again; whether there was one. */
export function cancelGrace(turn: DoorTurn): boolean {
  turn.cancel('grace');
  if (turn.state.leaf.kind !== 'grace') return false;
  turn.become({ leaf: { kind: 'closed' } });
  return true;
}

/** Those who were granted and have neither opened nor passed: whatever counts passages takes theirs back. */
export function recordNotOpened(turn: DoorTurn): void {
  const { awaiting } = turn.state;
  if (awaiting.length === 0) return;
  turn.become({ awaiting: [] });
  for (const tapId of awaiting) turn.record('granted-not-opened', { by: 'grant', tapId });
}

/** An opening is that of everybody granted, but where each passage is counted. */
export function openedFor(turn: DoorTurn, release: Release): void {
  if (turn.settings.passage === 'none') turn.become({ awaiting: [] });
  turn.record('opened', causeOf(release));
}
