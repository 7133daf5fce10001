import { endRelease } from './door-release.ts';
import type { Release } from './door-state.ts';
import { causeOf, type DoorTurn } from './door-turn.ts';
import { awaitLastPassage, openedFor, startHeldOpenTime } from './door-watch.ts';

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
      openedFor(turn, leaf.release);
      becomeOpen(turn, leaf.release);
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
  const { relock, passage } = turn.settings;
  const onOpen = relock === 'on-open' && passage === 'none';
  const ending = onOpen && running.by !== 'hold' && !turn.exitHolds();
  if (running.by !== 'hold') {
    turn.become({ strike: { kind: 'unlocked', release: { ...running, use: 'used' } } });
  }
  const locked = ending && endRelease(turn);
  openedFor(turn, running);
  if (locked) turn.record('relocked', causeOf(running));
  becomeOpen(turn, running);
}

function becomeOpen(turn: DoorTurn, under?: Release): void {
  const by = under && { by: under.by };
  turn.become({ leaf: { kind: 'open', held: 'no', settling: false, ...by } });
  startHeldOpenTime(turn, under?.heldOpenMs);
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
  const { leaf, strike, awaiting } = turn.state;
  if ((leaf.kind !== 'open' && leaf.kind !== 'forced') || !leaf.settling) return;
  turn.become({ leaf: { kind: 'closed' } });
  const used = strike.kind === 'unlocked' && strike.release.use === 'used' && strike.release.by !== 'hold';
  const locked = used && awaiting.length === 0 && !turn.exitHolds() && endRelease(turn);
  if (leaf.kind === 'open') turn.cancel('pre-alarm', 'held-open');
  turn.record('closed');
  if (leaf.kind === 'forced') turn.record('forced-open-ended');
  else if (leaf.held === 'held') turn.record('held-open-ended');
  if (locked && used) turn.record('relocked', causeOf(strike.release));
  awaitLastPassage(turn);
}
