import type { FaultCode } from '#core/fault.ts';
import { exitPressed, exitReleased, exitStuck } from './door-exit.ts';
import { obstructed, obstructedTooLong, personPassed } from './door-gate.ts';
import { closingBelieved, contactClosed, contactOpened } from './door-leaf.ts';
import { emergencyTold, modeWanted, release, retryHold, strikeTimeOver } from './door-release.ts';
import type { DoorSettings } from './door-settings.ts';
import type { DoorEffect, DoorMachineInput, DoorState, DoorTimer, Release } from './door-state.ts';
import { causeOf, DoorTurn } from './door-turn.ts';
import {
  cancelGrace,
  graceOver,
  heldOpen,
  heldOpenWarning,
  recordNotOpened,
  startGrace,
  startHeldOpenTime,
} from './door-watch.ts';

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
      granted(turn, input);
      return;
    case 'mode':
      emergencyTold(turn, input.emergency ?? turn.state.emergency);
      modeWanted(turn, input.mode);
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
    case 'obstruction':
      obstructed(turn, input.active);
      return;
    case 'passage':
      if (input.active) personPassed(turn);
      return;
    case 'strike':
      strikeReadBack(turn, input.locked);
      return;
    case 'fault':
      faulty(turn, input.fault.code);
      return;
    case 'recovered':
      recovered(turn, input.strikeKept ?? false);
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
      exitStuck(turn);
      return;
    case 'obstructed':
      obstructedTooLong(turn);
      return;
    case 'tailgated':
      turn.become({ tailgated: false });
      return;
    default:
      timer satisfies never;
  }
}

function granted(
  turn: DoorTurn,
  { tapId, openMs, heldOpenMs }: Extract<DoorMachineInput, { kind: 'grant' }>,
): void {
  release(turn, {
    by: 'grant',
    lengthMs: openMs,
    tapId,
    ...(heldOpenMs === undefined ? {} : { heldOpenMs }),
  });
  if (cancelGrace(turn)) recordNotOpened(turn);
  const { leaf, awaiting } = turn.state;
  // nothing tells whether somebody passes a leaf that stands open, or one without a contact: the grant counts
  if (leaf.kind === 'closed' || turn.settings.passage === 'fitted')
    turn.become({ awaiting: [...awaiting, tapId] });
  if (leaf.kind !== 'open') return;
  if (leaf.held === 'held') turn.record('held-open-ended', { tapId });
  turn.become({ leaf: { ...leaf, held: 'no' } });
  startHeldOpenTime(turn, heldOpenMs);
}

function strikeReadBack(turn: DoorTurn, locked: boolean): void {
  const { strike, commandsInFlight } = turn.state;
  if (locked) turn.become({ lockFailed: false });
  if (commandsInFlight > 0 || locked === (strike.kind === 'locked')) return;
  if (strike.kind === 'locked') {
    turn.lock();
    turn.record('unlocked-unexpectedly');
    return;
  }
  if (turn.exitHolds()) turn.unlock({ ...strike.release, lengthMs: turn.settings.exitMs });
  else lockedByHardware(turn, strike.release);
}

/** Commanded all the same: a reading that was wrong must not leave the strike unlocked. */
function lockedByHardware(turn: DoorTurn, ended: Release): void {
  turn.lock();
  turn.record('relocked-by-hardware', causeOf(ended));
  startGrace(turn, ended);
  retryHold(turn);
}

/** An output that fails though nothing was asked of it now is one that does not lock, as at the start. */
function faulty(turn: DoorTurn, fault: FaultCode): void {
  const { strike, commandsInFlight } = turn.state;
  if (turn.state.fault === fault) return;
  const unasked = strike.kind === 'locked' && commandsInFlight === 0;
  turn.become({ fault, ...(unasked && fault === 'door-hardware-failed' && { lockFailed: true }) });
  turn.record('fault', { fault });
}

/** Hardware that comes back is locked, whatever it was before; whoever still presses to get out is let out. */
function recovered(turn: DoorTurn, strikeKept: boolean): void {
  const { fault, strike, ...rest } = turn.state;
  turn.state = strikeKept ? { ...rest, strike } : { ...rest, strike, lockFailed: false };
  if (fault !== undefined && strikeKept) turn.record('recovered', { fault });
  if (strikeKept) return;
  if (turn.exitHolds()) {
    // a strike that locks but does not unlock recovers at each try: the next one waits
    if (strike.kind === 'locked') turn.setTimer('strike', unlockRetryMs);
    else release(turn, { by: 'exit-request', lengthMs: turn.settings.exitMs });
  } else if (strike.kind === 'unlocked' && rest.commandsInFlight === 0) {
    lockedByHardware(turn, strike.release);
  } else if (strike.kind === 'locked') {
    retryHold(turn);
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
    recordNotOpened(turn);
    retryHold(turn);
  } else {
    turn.record('unlock-failed', { fault });
  }
}

function lockFailed(turn: DoorTurn, fault: FaultCode): void {
  answered(turn);
  turn.become({ lockFailed: true });
  turn.record('lock-failed', { fault });
}
