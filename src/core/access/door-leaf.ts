import type { Release } from './door-state.ts';
import type { DoorTurn } from './door-turn.ts';

export function contactOpened(turn: DoorTurn): void {
  const { leaf, strike } = turn.state;
  switch (leaf.kind) {
    case 'open':
    case 'forced':
      if (!leaf.settling) return;
      turn.become({ leaf: { ...leaf, settling: false } });
      turn.cancel('settle');
      return;
    case 'unknown':
      turn.record('open-at-start');
      becomeOpen(turn);
      return;
    case 'grace':
      turn.cancel('grace');
      turn.record('opened', causeOf(leaf.release));
      becomeOpen(turn);
      return;
    case 'closed':
      if (strike.kind === 'unlocked') {
        openedUnder(turn, strike.release);
        return;
      }
      turn.become({ leaf: { kind: 'forced', settling: false } });
      turn.record('forced-open');
      return;
    default:
      leaf satisfies never;
  }
}

function openedUnder(turn: DoorTurn, running: Release): void {
  turn.become({ strike: { kind: 'unlocked', release: { ...running, use: 'used' } } });
  if (turn.settings.relock === 'on-open' && turn.state.exit !== 'pressed') turn.lock();
  turn.record('opened', causeOf(running));
  if (turn.state.strike.kind === 'locked') turn.record('relocked', causeOf(running));
  becomeOpen(turn);
}

function becomeOpen(turn: DoorTurn): void {
  turn.become({ leaf: { kind: 'open', held: 'no', settling: false } });
  startHeldOpenTime(turn);
}

export function contactClosed(turn: DoorTurn): void {
  const { leaf } = turn.state;
  if (leaf.kind === 'unknown') {
    turn.become({ leaf: { kind: 'closed' } });
    return;
  }
  if ((leaf.kind !== 'open' && leaf.kind !== 'forced') || leaf.settling) return;
  turn.become({ leaf: { ...leaf, settling: true } });
  if (turn.settings.closeSettleMs === 0) closingBelieved(turn);
  else turn.setTimer('settle', turn.settings.closeSettleMs);
}

/** The leaf is closed. The release it opened under is over; one that began meanwhile lasts its own time. */
export function closingBelieved(turn: DoorTurn): void {
  const { leaf, strike, exit } = turn.state;
  if ((leaf.kind !== 'open' && leaf.kind !== 'forced') || !leaf.settling) return;
  turn.become({ leaf: { kind: 'closed' } });
  const over = strike.kind === 'unlocked' && strike.release.use === 'used' && exit !== 'pressed';
  if (over) turn.lock();
  if (leaf.kind === 'open') turn.cancel('pre-alarm', 'held-open');
  turn.record('closed');
  if (leaf.kind === 'forced') turn.record('forced-open-ended');
  else if (leaf.held === 'held') turn.record('held-open-ended');
  if (over) turn.record('relocked', causeOf(strike.release));
}

export function startHeldOpenTime(turn: DoorTurn): void {
  const { heldOpenAfterMs, preAlarmMs } = turn.settings;
  turn.cancel('pre-alarm', 'held-open');
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

/** After a relock without an opening, for a while, an opening still counts as the holder's. */
export function startGrace(turn: DoorTurn, ended: Release): void {
  if (turn.state.leaf.kind !== 'closed' || turn.settings.contact === 'none') return;
  if (turn.settings.openGraceMs === 0) {
    recordNotOpened(turn, ended);
    return;
  }
  turn.become({ leaf: { kind: 'grace', release: ended } });
  turn.setTimer('grace', turn.settings.openGraceMs);
}

export function graceOver(turn: DoorTurn): void {
  const { leaf } = turn.state;
  if (leaf.kind !== 'grace') return;
  turn.become({ leaf: { kind: 'closed' } });
  recordNotOpened(turn, leaf.release);
}

export function recordNotOpened(turn: DoorTurn, ended: Release): void {
  if (ended.by === 'grant' && ended.use === 'unused') turn.record('granted-not-opened', causeOf(ended));
}

export function causeOf(cause: Release): { by: Release['by']; tapId?: string } {
  return { by: cause.by, ...(cause.tapId === undefined ? {} : { tapId: cause.tapId }) };
}
