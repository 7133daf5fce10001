import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PinPad, PinRequest } from '#ports/pin-pad.ts';

/** A PIN pad under test, the fingers on it, and time. */
export interface PinPadRig {
  readonly pad: PinPad;
  /** resolves once the pad listens to its keys */
  asking(): Promise<void>;
  press(digit: number): unknown;
  erase(): unknown;
  enter(): unknown;
  cancel(): unknown;
  /** resolves once the pad could see it */
  plug(present: boolean): unknown;
  passTime(ms: number): Promise<void>;
  close(): Promise<void>;
}

const request: PinRequest = { minimumDigits: 4, maximumDigits: 6, timeoutMs: 30_000 };

/** What every implementation of PinPad does. */
export function describePinPad(name: string, openRig: () => Promise<PinPadRig>): void {
  describe(`PIN pad: ${name}`, () => {
    let rig: PinPadRig;
    let removal: AbortController;
    beforeEach(async () => {
      rig = await openRig();
      removal = new AbortController();
      await rig.pad.start();
    });
    afterEach(async () => {
      await rig.pad.stop();
      await rig.close();
    });
    const ask = async () => {
      const entry = rig.pad.request(request, removal.signal);
      await rig.asking();
      return { entry };
    };
    const type = (...digits: readonly number[]): void => {
      for (const digit of digits) rig.press(digit);
    };
    const entered = (...digits: readonly number[]) => ({
      kind: 'entered',
      digits: Uint8Array.from(digits, (digit) => 0x30 + digit),
    });

    it('gives the digits as ASCII in a buffer of their own', async () => {
      const { entry } = await ask();
      type(0, 9, 8, 1);
      rig.enter();
      expect(await entry).toEqual(entered(0, 9, 8, 1));
    });

    it('takes every digit', async () => {
      for (const digits of [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
      ]) {
        const { entry } = await ask();
        type(...digits);
        rig.enter();
        expect(await entry).toEqual(entered(...digits));
      }
    });

    it('takes the same digit twice in a row', async () => {
      const { entry } = await ask();
      type(7, 7, 7, 7);
      rig.enter();
      expect(await entry).toEqual(entered(7, 7, 7, 7));
    });

    it('erases the last digit', async () => {
      const { entry } = await ask();
      rig.erase();
      type(1, 2, 3, 5);
      rig.erase();
      type(4);
      rig.enter();
      expect(await entry).toEqual(entered(1, 2, 3, 4));
    });

    it('ignores Enter before the shortest PIN and digits beyond the longest', async () => {
      const { entry } = await ask();
      type(1, 2, 3);
      rig.enter();
      type(4, 5, 6, 7, 8);
      rig.enter();
      expect(await entry).toEqual(entered(1, 2, 3, 4, 5, 6));
    });

    it('is cancelled by its key', async () => {
      const { entry } = await ask();
      type(1, 2, 3, 4);
      rig.cancel();
      expect(await entry).toEqual({ kind: 'cancelled' });
    });

    it('is cancelled when the card is taken away, before or during', async () => {
      const { entry } = await ask();
      type(1, 2);
      removal.abort();
      expect(await entry).toEqual({ kind: 'cancelled' });
      expect(await rig.pad.request(request, removal.signal)).toEqual({ kind: 'cancelled' });
    });

    it('gives up after its time', async () => {
      const { entry } = await ask();
      type(1, 2, 3, 4);
      await rig.passTime(30_000);
      expect(await entry).toEqual({ kind: 'timeout' });
    });

    it('keeps no digit from one request to the next', async () => {
      const first = await ask();
      type(1, 2, 3);
      rig.cancel();
      await first.entry;
      type(9);
      const second = await ask();
      type(4, 5, 6, 7);
      rig.enter();
      expect(await second.entry).toEqual(entered(4, 5, 6, 7));
    });

    it('ends an earlier request as cancelled when another comes', async () => {
      const first = await ask();
      const second = await ask();
      expect(await first.entry).toEqual({ kind: 'cancelled' });
      type(1, 2, 3, 4);
      rig.enter();
      expect(await second.entry).toEqual(entered(1, 2, 3, 4));
    });

    it('ends all but the last of requests made at once', async () => {
      const first = rig.pad.request(request, removal.signal);
      const second = await ask();
      expect(await first).toEqual({ kind: 'cancelled' });
      type(1, 2, 3, 4);
      rig.enter();
      expect(await second.entry).toEqual(entered(1, 2, 3, 4));
    });

    it('is absent while unplugged, ends when unplugged during a request, and works again', async () => {
      await rig.plug(false);
      expect(await rig.pad.request(request, removal.signal)).toEqual({ kind: 'absent' });
      await rig.plug(true);
      const { entry } = await ask();
      type(1, 2);
      await rig.plug(false);
      expect(await entry).toEqual({ kind: 'absent' });
      await rig.plug(true);
      const again = await ask();
      type(1, 2, 3, 4);
      rig.enter();
      expect(await again.entry).toEqual(entered(1, 2, 3, 4));
    });

    it('ends as cancelled at stop', async () => {
      const { entry } = await ask();
      await rig.pad.stop();
      expect(await entry).toEqual({ kind: 'cancelled' });
    });
  });
}
