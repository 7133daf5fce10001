import type { DoorMode, Release } from './door-state.ts';
import { causeOf, type DoorTurn } from './door-turn.ts';
import { cancelGrace, recordNotOpened, startGrace, startHeldOpenTime } from './door-watch.ts';

/** how long a strike that is held unlocked stays so unless that is renewed, in milliseconds: whoever dies holds nothing */
const renewEveryMs = 30_000;
/** how long after hardware has failed a held door is tried again, in milliseconds */
const holdRetryMs = 30_000;

const held: Release = { by: 'hold', lengthMs: renewEveryMs, use: 'unused' };

/** Unlocks, or lengthens a release that runs; nothing asked for later shortens what was asked for before. */
export function release(
  turn: DoorTurn,
  asked: { by: 'grant' | 'exit-request'; lengthMs: number; tapId?: string; heldOpenMs?: number },
): void {
  const { strike, leaf } = turn.state;
  const running = strike.kind === 'unlocked' && !strike.release.over ? strike.release : undefined;
  const over = running?.by === 'hold' ? undefined : running;
  const tapId = asked.tapId ?? over?.tapId;
  const heldOpenMs = Math.max(asked.heldOpenMs ?? 0, over?.heldOpenMs ?? 0);
  turn.unlock({
    by: over?.by === 'exit-request' ? 'exit-request' : asked.by,
    lengthMs: Math.max(asked.lengthMs, over?.lengthMs ?? 0),
    ...(tapId === undefined ? {} : { tapId }),
    ...(heldOpenMs === 0 ? {} : { heldOpenMs }),
    use: leaf.kind === 'open' || leaf.kind === 'forced' ? 'shared' : 'unused',
  });
}

/**
 * Ends the release that runs: back into the hold where the door is held, else locked, or as soon as nobody stands in
 * the gate. Returns whether it locked; the caller records that after its commands.
 */
export function endRelease(turn: DoorTurn): boolean {
  const { mode, obstruction, strike } = turn.state;
  if (strike.kind === 'locked') return false;
  if (mode.kind === 'held') {
    turn.unlock(held);
    return false;
  }
  if (obstruction !== 'clear') {
    turn.unlock({ ...strike.release, lengthMs: renewEveryMs, over: true });
    if (!strike.release.over) turn.setTimer('obstructed', turn.settings.obstructedAfterMs);
    return false;
  }
  turn.lock();
  return true;
}

/** Ends the release that runs without anybody having opened under it. */
export function endUnopened(turn: DoorTurn): void {
  const { strike } = turn.state;
  if (strike.kind === 'locked') return;
  const locked = endRelease(turn);
  if (!locked && turn.state.mode.kind !== 'held') return;
  if (locked) turn.record('relocked', causeOf(strike.release));
  startGrace(turn, strike.release);
  if (strike.release.by === 'hold' && turn.state.leaf.kind === 'open') startHeldOpenTime(turn);
}

/** The strike's time is over: of a release, of a hold to be renewed, or of the wait for another try. */
export function strikeTimeOver(turn: DoorTurn): void {
  const { strike, mode } = turn.state;
  if (turn.exitHolds()) {
    const running: Release = { by: 'exit-request', lengthMs: 0, use: 'unused' };
    const last = strike.kind === 'unlocked' ? strike.release : running;
    turn.unlock({ ...last, lengthMs: turn.settings.exitMs });
  } else if (strike.kind === 'locked') {
    if (mode.kind === 'held') turn.unlock(held);
  } else if (strike.release.by === 'hold' || strike.release.over) {
    endRelease(turn);
  } else {
    endUnopened(turn);
  }
}

/** Hardware has locked, or failed, while the door was to be held unlocked: tried again after a while. */
export function retryHold(turn: DoorTurn): void {
  if (turn.state.mode.kind === 'held') turn.setTimer('strike', holdRetryMs);
}

/** The door is to be in another mode from now on. A running exit request keeps its time whatever the mode. */
export function modeWanted(turn: DoorTurn, mode: DoorMode): void {
  const before = turn.state.mode;
  if (before.kind === mode.kind && causeOfHold(before) === causeOfHold(mode)) return;
  turn.become({ mode });
  const { strike } = turn.state;
  if (mode.kind === 'held') {
    if (before.kind !== 'held') beginHold(turn);
  } else if (strike.kind === 'unlocked') {
    const ends = strike.release.by === 'hold' || (mode.kind === 'lockdown' && strike.release.by === 'grant');
    if (ends) endUnopened(turn);
  } else if (before.kind === 'held' && !turn.exitHolds()) {
    turn.cancel('strike');
  }
  if (before.kind === 'held' && mode.kind !== 'held') turn.record('hold-ended', { hold: before.by });
  if (before.kind === 'lockdown') turn.record('lockdown-ended');
  if (mode.kind === 'held') turn.record('held-unlocked', { hold: mode.by });
  if (mode.kind === 'lockdown') turn.record('lockdown');
}

function causeOfHold(mode: DoorMode): string | undefined {
  return mode.kind === 'held' ? mode.by : undefined;
}

/** What stands open now stands open rightly; a leaf that was forced stays an alarm until it is closed. */
function beginHold(turn: DoorTurn): void {
  const { strike, leaf } = turn.state;
  if (strike.kind === 'locked' || strike.release.over) turn.unlock(held);
  if (cancelGrace(turn)) recordNotOpened(turn);
  if (leaf.kind !== 'open') return;
  turn.cancel('pre-alarm', 'held-open');
  turn.become({ leaf: { ...leaf, held: 'no' } });
  if (leaf.held === 'held') turn.record('held-open-ended');
}
