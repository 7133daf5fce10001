import { release } from './door-release.ts';
import type { DoorTurn } from './door-turn.ts';
import { cancelGrace, recordNotOpened, startShunt } from './door-watch.ts';

/** An exit request is served before anything else is looked at, faults included. */
export function exitPressed(turn: DoorTurn): void {
  const { exit, strike, leaf } = turn.state;
  if (exit !== 'idle') return;
  const { exitRequest, exitMs, exitStuckAfterMs } = turn.settings;
  const repeated =
    (strike.kind === 'unlocked' && strike.release.by === 'exit-request') ||
    (leaf.kind === 'grace' && leaf.release.by === 'exit-request');
  if (exitRequest === 'unlock') release(turn, { by: 'exit-request', lengthMs: exitMs });
  turn.become({ exit: 'pressed' });
  turn.setTimer('exit-stuck', exitStuckAfterMs);
  if (cancelGrace(turn)) recordNotOpened(turn);
  if (exitRequest === 'shunt') startShunt(turn);
  // one entry a passage: a motion sensor that sees a crowd asks many times a second
  if (!repeated) turn.record('exit-request');
}

export function exitReleased(turn: DoorTurn): void {
  if (turn.state.exit === 'idle') return;
  if (turn.state.exit === 'stuck') turn.record('exit-request-stuck-ended');
  turn.become({ exit: 'idle' });
  turn.cancel('exit-stuck');
  cancelRetry(turn);
}

export function exitStuck(turn: DoorTurn): void {
  if (turn.state.exit !== 'pressed') return;
  turn.become({ exit: 'stuck' });
  if (!turn.exitHolds()) cancelRetry(turn);
  turn.record('exit-request-stuck');
}

/** Nobody waits any more for an unlocking that failed; a running release and a hold keep their time. */
function cancelRetry(turn: DoorTurn): void {
  const { strike, mode } = turn.state;
  if (strike.kind === 'locked' && mode.kind !== 'held') turn.cancel('strike');
}
