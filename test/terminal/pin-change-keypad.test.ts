import { expect, test } from 'vitest';
import { Keypad } from '#adapters/hid/keypad.ts';
import type { Fault } from '#core/fault.ts';
import type { PinPad } from '#ports/pin-pad.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { changePinOfCard, type PinChangeStep } from '#terminal/pin-change.ts';
import { FakeKeypad, taken, usageOf, wiring } from '../contracts/fake-keypad.ts';
import { deckCard, pin, powered, session } from '../core/card/rig.ts';

const enterKey = 0x58;
const cancelKey = 0x29;
const timeoutMs = 60_000;

/** The counter as the command builds it: a card in a reader, and a USB keypad with its holder's fingers on it. */
class Counter {
  readonly card = powered(deckCard('employee'));
  readonly keypad = new FakeKeypad();
  readonly clock = new SimulatedClock({ utcMs: 0 });
  readonly asked: PinChangeStep[] = [];
  /** the very buffers that the keypad gave */
  readonly given: Uint8Array[] = [];
  readonly faults: Fault[] = [];
  readonly removal = new AbortController();
  sent = 0;
  #listening: Promise<void> = this.keypad.listened();

  start() {
    const keys = new Keypad({
      wiring,
      hid: this.keypad.hid,
      sysfs: taken,
      after: (delayMs, action) => this.clock.after(delayMs, action),
      onFault: (fault) => this.faults.push(fault),
    });
    const pinPad: PinPad = {
      start: () => keys.start(),
      stop: () => keys.stop(),
      request: async (...wanted) => {
        const entry = await keys.request(...wanted);
        if (entry.kind === 'entered') this.given.push(entry.digits);
        return entry;
      },
    };
    const open = session((command) => {
      this.sent += 1;
      return this.card.transmit(command);
    });
    const request = { minimumDigits: 4, maximumDigits: 8, timeoutMs };
    const asking = (step: PinChangeStep): void => void this.asked.push(step);
    return changePinOfCard({ session: open, pinPad, request, asking }, this.removal.signal);
  }

  async press(usage: number): Promise<void> {
    await this.#listening;
    this.keypad.key(usage);
  }

  async enter(digits: string): Promise<void> {
    for (const digit of digits) await this.press(usageOf.keypad(Number(digit)));
    this.#listening = this.keypad.listened();
    this.keypad.key(enterKey);
  }

  async verifies(digits: string): Promise<boolean> {
    this.card.reset();
    const open = session(this.card.transmit);
    await open.read();
    return (await open.verifyPin(pin(digits))).kind === 'verified';
  }

  /** Nothing of a PIN is left where it passed, and the keypad is nobody's. */
  expectNothingLeft(): void {
    for (const bytes of [...this.given, ...this.keypad.reports])
      expect(bytes.every((byte) => byte === 0)).toBe(true);
    expect(this.keypad.handles).toBe(0);
  }
}

/** exchanges of a reading; the change adds the tries left, VERIFY and CHANGE REFERENCE DATA */
const readingExchanges = 4;

test('the holder changes the PIN on the keypad, and the card takes the new one alone', async () => {
  const counter = new Counter();
  const changing = counter.start();
  for (const digits of ['1234', '567890', '567890']) await counter.enter(digits);
  expect(await changing).toEqual({ kind: 'changed' });
  expect(counter.asked).toEqual(['current', 'new', 'new-again']);
  expect(counter.sent).toBe(readingExchanges + 3);
  expect(counter.given).toHaveLength(3);
  counter.expectNothingLeft();
  expect([await counter.verifies('1234'), await counter.verifies('567890')]).toEqual([false, true]);
});

test('a new PIN typed twice differently goes nowhere', async () => {
  const counter = new Counter();
  const changing = counter.start();
  for (const digits of ['1234', '567890', '567891']) await counter.enter(digits);
  expect(await changing).toEqual({ kind: 'mismatch' });
  expect(counter.sent).toBe(readingExchanges);
  counter.expectNothingLeft();
  expect(await counter.verifies('1234')).toBe(true);
});

test.each([
  ['current', []],
  ['new', ['1234']],
  ['new-again', ['1234', '5678']],
] as const)(
  'cancelled, too late or taken away at the step %s, nothing goes to the card',
  async (step, before) => {
    const ends = {
      cancelled: (counter: Counter) => counter.keypad.key(cancelKey),
      timeout: (counter: Counter) => counter.clock.advanceAsync(timeoutMs),
    };
    for (const why of ['cancelled', 'timeout'] as const) {
      const counter = new Counter();
      const changing = counter.start();
      for (const digits of before) await counter.enter(digits);
      await counter.press(usageOf.keypad(7));
      await ends[why](counter);
      expect(await changing).toEqual({ kind: 'not-entered', step, why });
      expect(counter.sent).toBe(readingExchanges);
      counter.expectNothingLeft();
    }
    const counter = new Counter();
    const changing = counter.start();
    for (const digits of before) await counter.enter(digits);
    await counter.press(usageOf.keypad(7));
    counter.removal.abort();
    expect(await changing).toEqual({ kind: 'removed' });
    expect(counter.sent).toBe(readingExchanges);
    counter.expectNothingLeft();
  },
);

test('a wrong current PIN costs one try, which is told', async () => {
  const counter = new Counter();
  const changing = counter.start();
  for (const digits of ['4321', '5678', '5678']) await counter.enter(digits);
  expect(await changing).toEqual({ kind: 'wrong', triesLeft: 2 });
  counter.expectNothingLeft();
  expect(await counter.verifies('1234')).toBe(true);
});

test('a keypad pulled out at any step ends it', async () => {
  const counter = new Counter();
  const changing = counter.start();
  await counter.enter('1234');
  await counter.press(usageOf.keypad(5));
  counter.keypad.plug(false);
  expect(await changing).toEqual({ kind: 'pin-pad-absent' });
  counter.expectNothingLeft();
});

test('a card that cannot be read is asked for no PIN', async () => {
  const counter = new Counter();
  counter.card.misbehave({ kind: 'removed', exchange: 2 });
  expect(await counter.start()).toEqual({ kind: 'unread', outcome: { kind: 'removed' } });
  expect(counter.asked).toEqual([]);
});
