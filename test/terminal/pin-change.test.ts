import { beforeEach, expect, test } from 'vitest';
import type { PinChangeOutcome } from '#core/card/reading.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { SimulatedPinPad } from '#simulators/door/simulated-pin-pad.ts';
import { changePinAtCounter, type PinChangeStep } from '#terminal/pin-change.ts';

let clock: SimulatedClock;
let pad: SimulatedPinPad;
let asked: PinChangeStep[];
let given: [Uint8Array, Uint8Array][];
let texts: string[];

beforeEach(() => {
  clock = new SimulatedClock({ utcMs: 0 });
  pad = new SimulatedPinPad({ clock });
  [asked, given, texts] = [[], [], []];
});

function start(signal = new AbortController().signal, outcome: PinChangeOutcome = { kind: 'changed' }) {
  return changePinAtCounter(
    {
      pinPad: pad,
      request: { minimumDigits: 4, maximumDigits: 8, timeoutMs: 60_000 },
      asking: (step) => asked.push(step),
      change: async (current, fresh) => {
        given.push([current, fresh]);
        texts = [current, fresh].map((digits) => new TextDecoder().decode(digits));
        return outcome;
      },
    },
    signal,
  );
}

async function enter(digits: string): Promise<void> {
  await clock.advanceAsync(0);
  for (const digit of digits) pad.press(Number(digit));
  pad.enter();
  await clock.advanceAsync(0);
}

test('asks for the current PIN, twice for the new one, and hands both on once', async () => {
  const changing = start();
  for (const digits of ['1234', '5678', '5678']) await enter(digits);
  expect(await changing).toEqual({ kind: 'changed' });
  expect(asked).toEqual(['current', 'new', 'new-again']);
  expect(texts).toEqual(['1234', '5678']);
  for (const digits of given.flat()) expect(digits.every((digit) => digit === 0)).toBe(true);
});

test('a new PIN that is not entered twice alike goes nowhere', async () => {
  const changing = start();
  for (const digits of ['1234', '5678', '5679']) await enter(digits);
  expect(await changing).toEqual({ kind: 'mismatch' });
  expect(given).toEqual([]);
});

test('cancelling or waiting too long at any step goes nowhere', async () => {
  for (const [before, step] of [
    [[], 'current'],
    [['1234'], 'new'],
    [['1234', '5678'], 'new-again'],
  ] as const) {
    for (const why of ['cancelled', 'timeout'] as const) {
      const changing = start();
      for (const digits of before) await enter(digits);
      if (why === 'cancelled') pad.cancel();
      else await clock.advanceAsync(60_000);
      expect(await changing).toEqual({ kind: 'not-entered', step, why });
    }
  }
  expect(given).toEqual([]);
});

test('a pad that is gone, and a card taken away, end it', async () => {
  const controller = new AbortController();
  const changing = start(controller.signal);
  await enter('1234');
  controller.abort();
  expect(await changing).toEqual({ kind: 'removed' });
  pad.plug(false);
  expect(await start()).toEqual({ kind: 'pin-pad-absent' });
  expect(given).toEqual([]);
});

test('what the card says is told as it is', async () => {
  const changing = start(undefined, { kind: 'wrong', triesLeft: 2 });
  for (const digits of ['1234', '5678', '5678']) await enter(digits);
  expect(await changing).toEqual({ kind: 'wrong', triesLeft: 2 });
});
