import type { FaultCode } from '#core/fault.ts';
import {
  causeOf,
  closingBelieved,
  contactClosed,
  contactOpened,
  graceOver,
  heldOpen,
  heldOpenWarning,
  recordNotOpened,
  startGrace,
  startHeldOpenTime,
} from './door-leaf.ts';
import type { DoorSettings } from './door-settings.ts';
import type { DoorEffect, DoorMachineInput, DoorState, DoorTimer, Release } from './door-state.ts';
import { DoorTurn } from './door-turn.ts';

export type { DoorSettings } from './door-settings.ts';

/** how long after an exit request could not be served it is tried again while it lasts, in milliseconds */
const unlockRetryMs = 500;

/**
 * One step of a door. Pure: timers are effects, and their firing comes back as input. Each `unlock` and `lock`
 * effect is answered by one `actuated` or `actuation-failed` input.
 */
export function next(
  state: DoorState,
  input: DoorMachineInput,
  settings: DoorSettings,
): { readonly state: DoorState; readonly effects: readonly DoorEffect[] } {
  const turn = new DoorTurn(state, settings);
  step(turn, input);
  return turn.end(input.kind === 'grant');
}

function step(turn: DoorTurn, input: DoorMachineInput): void {
  switch (input.kind) {
    case 'grant':
      granted(turn, input.openMs, input.tapId);
      return;
    case 'lock':
      lockCommanded(turn);
      return;
    case 'contact':
      if (turn.settings.contact === 'none') return;
      if (input.open) contactOpened(turn);
      else contactClosed(turn);
      return;
    case 'exit-request':
      if (input.pressed) exitPressed(turn);
      else exitReleased(turn);
      return;
    case 'tamper':
      if (input.active === turn.state.tampered) return;
      turn.become({ tampered: input.active });
      turn.record(input.active ? 'tamper' : 'tamper-ended');
      return;
    case 'strike':
      strikeReadBack(turn, input.locked);
      return;
    case 'fault':
      if (turn.state.fault === input.fault.code) return;
      turn.become({ fault: input.fault.code });
      turn.record('fault', { fault: input.fault.code });
      return;
    case 'recovered':
      recovered(turn);
      return;
    case 'actuated':
      actuated(turn, input.command);
      return;
    case 'actuation-failed':
      if (input.command === 'unlock') unlockFailed(turn, input.fault.code);
      else lockFailed(turn, input.fault.code);
      return;
    case 'timer':
      timerFired(turn, input.timer);
      return;
    default:
      input satisfies never;
  }
}

function timerFired(turn: DoorTurn, timer: DoorTimer): void {
  switch (timer) {
    case 'strike':
      strikeTimeOver(turn);
      return;
    case 'grace':
      graceOver(turn);
      return;
    case 'settle':
      closingBelieved(turn);
      return;
    case 'pre-alarm':
      heldOpenWarning(turn);
      return;
    case 'held-open':
      heldOpen(turn);
      return;
    case 'exit-stuck':
      if (turn.state.exit !== 'pressed') return;
      turn.become({ exit: 'stuck' });
      cancelRetry(turn);
      turn.record('exit-request-stuck');
      return;
    default:
      timer satisfies never;
  }
}

/** Unlocks, or lengthens a release that runs; nothing asked for later shortens what was asked for before. */
function release(turn: DoorTurn, asked: { by: Release['by']; lengthMs: number; tapId?: string }): void {
  const { strike, leaf } = turn.state;
  const running = strike.kind === 'unlocked' ? strike.release : undefined;
  const tapId = asked.tapId ?? running?.tapId;
  if (leaf.kind === 'grace') {
    turn.cancel('grace');
    turn.become({ leaf: { kind: 'closed' } });
  }
  turn.unlock({
    by: running?.by === 'exit-request' ? 'exit-request' : asked.by,
    lengthMs: Math.max(asked.lengthMs, running?.lengthMs ?? 0),
    ...(tapId === undefined ? {} : { tapId }),
    use: leaf.kind === 'open' || leaf.kind === 'forced' ? 'shared' : 'unused',
  });
}

function granted(turn: DoorTurn, openMs: number, tapId: string | undefined): void {
  const { leaf } = turn.state;
  const neverOpened = leaf.kind === 'grace' ? leaf.release : undefined;
  release(turn, { by: 'grant', lengthMs: openMs, ...(tapId === undefined ? {} : { tapId }) });
  if (neverOpened) recordNotOpened(turn, neverOpened);
  if (leaf.kind !== 'open') return;
  if (leaf.held === 'held') turn.record('held-open-ended', tapId === undefined ? {} : { tapId });
  turn.become({ leaf: { ...leaf, held: 'no' } });
  startHeldOpenTime(turn);
}

function lockCommanded(turn: DoorTurn): void {
  const { strike } = turn.state;
  if (strike.kind === 'locked' || strike.release.by === 'exit-request') return;
  turn.lock();
  turn.record('locked-by-command');
}

/** An exit request is served before anything else is looked at, faults included. */
function exitPressed(turn: DoorTurn): void {
  const { exit, strike, leaf } = turn.state;
  if (exit !== 'idle') return;
  const repeated = strike.kind === 'unlocked' && strike.release.by === 'exit-request';
  const neverOpened = leaf.kind === 'grace' ? leaf.release : undefined;
  release(turn, { by: 'exit-request', lengthMs: turn.settings.exitMs });
  turn.become({ exit: 'pressed' });
  turn.setTimer('exit-stuck', turn.settings.exitStuckAfterMs);
  if (neverOpened) recordNotOpened(turn, neverOpened);
  // one entry a passage: a motion sensor that sees a crowd asks many times a second
  if (!repeated) turn.record('exit-request');
}

function exitReleased(turn: DoorTurn): void {
  if (turn.state.exit === 'idle') return;
  if (turn.state.exit === 'stuck') turn.record('exit-request-stuck-ended');
  turn.become({ exit: 'idle' });
  turn.cancel('exit-stuck');
  cancelRetry(turn);
}

/** Nobody waits any more for an unlocking that failed; a running release keeps its time. */
function cancelRetry(turn: DoorTurn): void {
  if (turn.state.strike.kind === 'locked') turn.cancel('strike');
}

function strikeTimeOver(turn: DoorTurn): void {
  const { strike, exit } = turn.state;
  if (strike.kind === 'locked') {
    if (exit === 'pressed') release(turn, { by: 'exit-request', lengthMs: turn.settings.exitMs });
    return;
  }
  if (exit === 'pressed') {
    turn.unlock({ ...strike.release, lengthMs: turn.settings.exitMs });
    return;
  }
  turn.lock();
  turn.record('relocked', causeOf(strike.release));
  startGrace(turn, strike.release);
}

function strikeReadBack(turn: DoorTurn, locked: boolean): void {
  const { strike, commandsInFlight, exit } = turn.state;
  if (locked) turn.become({ lockFailed: false });
  if (commandsInFlight > 0 || locked === (strike.kind === 'locked')) return;
  if (strike.kind === 'locked') {
    turn.lock();
    turn.record('unlocked-unexpectedly');
    return;
  }
  if (exit === 'pressed') turn.unlock({ ...strike.release, lengthMs: turn.settings.exitMs });
  else lockedByHardware(turn, strike.release);
}

/** Commanded all the same: a reading that was wrong must not leave the strike unlocked. */
function lockedByHardware(turn: DoorTurn, ended: Release): void {
  turn.lock();
  turn.record('relocked-by-hardware', causeOf(ended));
  startGrace(turn, ended);
}

/** Hardware that comes back is locked, whatever it was before; whoever still presses to get out is let out. */
function recovered(turn: DoorTurn): void {
  const { fault, strike, exit, ...rest } = turn.state;
  turn.state = { ...rest, strike, exit, lockFailed: false };
  if (exit === 'pressed') {
    // a strike that locks but does not unlock recovers at each try: the next one waits
    if (strike.kind === 'locked') turn.setTimer('strike', unlockRetryMs);
    else release(turn, { by: 'exit-request', lengthMs: turn.settings.exitMs });
  } else if (strike.kind === 'unlocked' && rest.commandsInFlight === 0) {
    lockedByHardware(turn, strike.release);
  }
  if (fault !== undefined) turn.record('recovered', { fault });
}

function answered(turn: DoorTurn): void {
  turn.become({ commandsInFlight: Math.max(0, turn.state.commandsInFlight - 1) });
}

function actuated(turn: DoorTurn, command: 'unlock' | 'lock'): void {
  answered(turn);
  if (command === 'lock') turn.become({ lockFailed: false });
}

/** The relay may have moved although its reading back failed: it is locked again. */
function unlockFailed(turn: DoorTurn, fault: FaultCode): void {
  answered(turn);
  const { strike, commandsInFlight } = turn.state;
  if (strike.kind === 'unlocked' && commandsInFlight === 0) {
    turn.lock();
    turn.record('unlock-failed', { ...causeOf(strike.release), fault });
  } else {
    turn.record('unlock-failed', { fault });
  }
}

function lockFailed(turn: DoorTurn, fault: FaultCode): void {
  answered(turn);
  turn.become({ lockFailed: true });
  turn.record('lock-failed', { fault });
}
