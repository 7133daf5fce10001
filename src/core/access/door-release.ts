import type { DoorMode, Release } from './door-state.ts';
import { causeOf, type DoorTurn } from './door-turn.ts';
import { cancelGrace, recordNotOpened, startGrace, startHeldOpenTime } from './door-watch.ts';

/** how often a strike that is held unlocked is told so anew, in milliseconds */
const renewEveryMs = 10_000;
/** how long after hardware has locked a held door that is tried again, in milliseconds: twice as long each time */
const firstHoldRetryMs = 250;
const longestHoldRetryMs = 30_000;

const held: Release = { by: 'hold', lengthMs: renewEveryMs, use: 'unused' };

/**
 * Unlocks, or lengthens a release that runs; nothing asked for later shortens what was asked for before. An exit request
 * under a longer grant has its own time after that: asking again and again begins no long time anew.
 */
export function release(
  turn: DoorTurn,
  asked: { by: 'grant' | 'exit-request'; lengthMs: number; tapId?: string; heldOpenMs?: number },
): void {
  const { strike, leaf } = turn.state;
  const running = strike.kind === 'unlocked' && !strike.release.over ? strike.release : undefined;
  const over = running?.by === 'hold' ? undefined : running;
  const use = leaf.kind === 'open' || leaf.kind === 'forced' ? 'shared' : 'unused';
  if (asked.by === 'exit-request' && over && over.lengthMs > asked.lengthMs) {
    turn.unlockAgain({ ...over, by: asked.by, exitAsked: true, use });
    return;
  }
  const tapId = asked.tapId ?? over?.tapId;
  const heldOpenMs = Math.max(asked.heldOpenMs ?? 0, over?.heldOpenMs ?? 0);
  turn.unlock({
    by: over?.by === 'exit-request' ? 'exit-request' : asked.by,
    lengthMs: Math.max(asked.lengthMs, over?.lengthMs ?? 0),
    ...(tapId === undefined ? {} : { tapId }),
    ...(heldOpenMs === 0 ? {} : { heldOpenMs }),
    ...(over?.shunted && { shunted: true }),
    use,
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
}

/** The strike's time is over: of a release, of a hold to be renewed, or of the wait for another try. */
export function strikeTimeOver(turn: DoorTurn): void {
  const { strike, mode } = turn.state;
  const running = strike.kind === 'unlocked' ? strike.release : undefined;
  if (turn.exitHolds() || running?.exitAsked) {
    const { exitAsked: _, ...last }: Release = running ?? { by: 'exit-request', lengthMs: 0, use: 'unused' };
    turn.unlock({ ...last, lengthMs: turn.settings.exitMs });
  } else if (strike.kind === 'locked') {
    if (mode.kind === 'held') holdNow(turn);
  } else if (strike.release.by === 'hold' || strike.release.over) {
    turn.become({ holdLosses: 0 });
    endRelease(turn);
  } else {
    endUnopened(turn);
  }
}

function holdNow(turn: DoorTurn): void {
  turn.unlock(held);
  if (cancelGrace(turn)) recordNotOpened(turn);
}

/** Hardware has locked, or failed, while the door was to be held unlocked: tried again at once, then less and less. */
export function retryHold(turn: DoorTurn): void {
  const { mode, holdLosses } = turn.state;
  if (mode.kind !== 'held') return;
  turn.become({ holdLosses: holdLosses + 1 });
  turn.setTimer('strike', Math.min(longestHoldRetryMs, firstHoldRetryMs * 2 ** Math.min(holdLosses, 10)));
}

/** Whether fire or evacuation reach the door now; a stuck exit request unlocks from then on. */
export function emergencyTold(turn: DoorTurn, emergency: boolean): void {
  if (emergency === turn.state.emergency) return;
  turn.become({ emergency });
  if (emergency && turn.state.strike.kind === 'locked' && turn.exitHolds()) {
    release(turn, { by: 'exit-request', lengthMs: turn.settings.exitMs });
    if (cancelGrace(turn)) recordNotOpened(turn);
  }
}

/** The door is to be in another mode from now on. A running exit request keeps its time whatever the mode. */
export function modeWanted(turn: DoorTurn, mode: DoorMode): void {
  const before = turn.state.mode;
  if (before.kind === mode.kind && causeOfHold(before) === causeOfHold(mode)) return;
  turn.become({ mode });
  if (mode.kind !== 'held') leaveStrike(turn, before, mode);
  else if (before.kind !== 'held') beginHold(turn);
  if (before.kind === 'held' && mode.kind !== 'held') turn.record('hold-ended', { hold: before.by });
  if (before.kind === 'lockdown') turn.record('lockdown-ended');
  if (mode.kind === 'held') turn.record('held-unlocked', { hold: mode.by });
  if (mode.kind === 'lockdown') turn.record('lockdown');
}

/** What runs ends where it ran by the hold, or lockdown ends grants; of an exit request its own time is left. */
function leaveStrike(turn: DoorTurn, before: DoorMode, mode: DoorMode): void {
  const { strike, leaf } = turn.state;
  if (strike.kind === 'unlocked') {
    const { by, tapId, use } = strike.release;
    if (by === 'hold' || (mode.kind === 'lockdown' && by === 'grant')) endUnopened(turn);
    else if (mode.kind === 'lockdown' && by === 'exit-request' && tapId !== undefined) {
      turn.unlock({ by, lengthMs: turn.settings.exitMs, use });
      recordNotOpened(turn);
    }
  } else if (before.kind === 'held' && !turn.exitHolds()) {
    turn.cancel('strike');
  }
  if (before.kind !== 'held') return;
  turn.become({ holdLosses: 0 });
  if (leaf.kind !== 'open') return;
  startHeldOpenTime(turn, strike.kind === 'unlocked' ? strike.release.heldOpenMs : undefined);
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
