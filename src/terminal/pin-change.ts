import { equalConstantTime } from '#core/bytes/bytes.ts';
import type { CardOutcome, PinChangeOutcome } from '#core/card/reading.ts';
import type { CardSession } from '#core/card/session.ts';
import type { PinEntry, PinPad, PinRequest } from '#ports/pin-pad.ts';

/** What the holder is asked for, in this order. */
export const pinChangeSteps = ['current', 'new', 'new-again'] as const;
export type PinChangeStep = (typeof pinChangeSteps)[number];

/** How a change of PIN at a counter ended; before the card answers, nothing has happened to it. */
export type CounterPinChange =
  | PinChangeOutcome
  | { readonly kind: 'not-entered'; readonly step: PinChangeStep; readonly why: 'cancelled' | 'timeout' }
  | { readonly kind: 'pin-pad-absent' }
  /** the new PIN was not entered twice alike */
  | { readonly kind: 'mismatch' }
  /** no PIN was asked for */
  | { readonly kind: 'unread'; readonly outcome: UnreadCard };

type UnreadCard = Exclude<CardOutcome, { kind: 'reading' }>;

export interface CounterParts extends Omit<PinChangeParts, 'change'> {
  /** not read yet */
  readonly session: CardSession;
}

/** Reads the card, changes its PIN at the counter and ends the session. */
export async function changePinOfCard(
  { session, ...parts }: CounterParts,
  removed: AbortSignal,
): Promise<CounterPinChange> {
  try {
    const outcome = await session.read();
    if (outcome.kind !== 'reading') return { kind: 'unread', outcome };
    const change: PinChangeParts['change'] = (current, fresh) => session.changePin(current, fresh);
    return await changePinAtCounter({ ...parts, change }, removed);
  } finally {
    session.close();
  }
}

export interface PinChangeParts {
  readonly pinPad: PinPad;
  readonly request: PinRequest;
  /** told what is being asked for, to be shown to the holder */
  readonly asking: (step: PinChangeStep) => void;
  /** Changes the PIN on the open card session and zeroes both. */
  readonly change: (current: Uint8Array, fresh: Uint8Array) => Promise<PinChangeOutcome>;
}

/**
 * Changes a PIN at a counter: asks for the current one, and twice for the new one, on the pin pad alone. The card is
 * sent nothing before the new one was entered twice alike. Every digit is zeroed whatever happens.
 */
export async function changePinAtCounter(
  parts: PinChangeParts,
  removed: AbortSignal,
): Promise<CounterPinChange> {
  const entered: Uint8Array[] = [];
  try {
    for (const step of pinChangeSteps) {
      parts.asking(step);
      const entry = await parts.pinPad.request(parts.request, removed);
      if (entry.kind === 'entered') entered.push(entry.digits);
      const ended = endOf(entry, step, removed);
      if (ended) return ended;
    }
    const [current, fresh, again] = entered;
    if (!current || !fresh || !again) throw new Error('three PINs were entered');
    return equalConstantTime(fresh, again) ? await parts.change(current, fresh) : { kind: 'mismatch' };
  } finally {
    for (const digits of entered) digits.fill(0);
  }
}

function endOf(entry: PinEntry, step: PinChangeStep, removed: AbortSignal): CounterPinChange | undefined {
  if (removed.aborted) return { kind: 'removed' };
  if (entry.kind === 'absent') return { kind: 'pin-pad-absent' };
  return entry.kind === 'entered' ? undefined : { kind: 'not-entered', step, why: entry.kind };
}
