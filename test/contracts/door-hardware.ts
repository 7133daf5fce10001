import { afterEach, describe, expect, it } from 'vitest';
import { isFault } from '#core/fault.ts';
import type { DoorHardware, DoorInput } from '#ports/door.ts';

/** One door with the hardware under test, and the hands and eyes of somebody who stands at it. */
export interface DoorRig {
  readonly hardware: DoorHardware;
  /** whether the strike truly is locked, whatever the hardware tells */
  locked(): boolean | Promise<boolean>;
  /** undefined where the hardware has no such input */
  readonly setContact?: (open: boolean) => unknown;
  readonly pressExit?: (pressed: boolean) => unknown;
  readonly tamper?: (active: boolean) => unknown;
  readonly obstruct?: (active: boolean) => unknown;
  readonly pass?: (active: boolean) => unknown;
  /** cuts the hardware off, and brings it back */
  cut(): unknown;
  repair(): unknown;
  /** from now on the hardware reads back the opposite of what it was told (or the truth again) */
  readWrong(wrong: boolean): unknown;
  /** lets time pass where it is simulated; where it is real, events are awaited instead */
  readonly passTime?: (ms: number) => Promise<void>;
  /** how many timers wait, where time is simulated */
  readonly pending?: () => number;
  close(): Promise<void>;
}

/** How a strike may be wired, with the level of its line at which it is locked: energised exactly when fail-safe. */
export const strikeWirings = [
  ['high', 'fail-secure', 0],
  ['low', 'fail-secure', 1],
  ['high', 'fail-safe', 1],
  ['low', 'fail-safe', 0],
] as const;

/** The inputs a door reported, and a way to wait for one. */
export class InputLog {
  readonly inputs: DoorInput[] = [];
  #waiting: (() => void)[] = [];

  readonly take = (input: DoorInput): void => {
    this.inputs.push(input);
    for (const wake of this.#waiting.splice(0)) wake();
  };

  /** Resolves once an input after the first `from` satisfies `wanted`. */
  async until(wanted: (input: DoorInput) => boolean, from = 0): Promise<void> {
    while (!this.inputs.slice(from).some(wanted)) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  count(kind: DoorInput['kind']): number {
    return this.inputs.filter((input) => input.kind === kind).length;
  }
}

const isLocked = (input: DoorInput): boolean => input.kind === 'strike' && input.locked;
const isUnlocked = (input: DoorInput): boolean => input.kind === 'strike' && !input.locked;
const isDoorFault = (error: unknown): boolean =>
  isFault(error, 'door-hardware-absent', 'door-hardware-failed', 'door-process-lost');

/** What every implementation of DoorHardware does, simulator and real alike. */
export function describeDoorHardware(name: string, openRig: () => Promise<DoorRig>): void {
  describe(`door hardware: ${name}`, () => {
    let rig: DoorRig;
    let log: InputLog;
    const begin = async (): Promise<void> => {
      rig = await openRig();
      log = new InputLog();
      await rig.hardware.start(log.take);
    };
    const pass = (ms: number): Promise<void> => rig.passTime?.(ms) ?? Promise.resolve();
    afterEach(() => rig.close());

    it('is locked at start and reports what is fitted', async () => {
      await begin();
      await pass(100);
      await log.until(isLocked);
      expect(await rig.locked()).toBe(true);
      if (rig.setContact) await log.until((input) => input.kind === 'contact' && !input.open);
      if (rig.pressExit) await log.until((input) => input.kind === 'exit-request' && !input.pressed);
      if (rig.tamper) await log.until((input) => input.kind === 'tamper' && !input.active);
      expect(log.count('fault')).toBe(0);
    });

    it('unlocks, then locks, and reads both back', async () => {
      await begin();
      await rig.hardware.unlock(60_000, 'tap');
      expect(await rig.locked()).toBe(false);
      await log.until(isUnlocked);
      const seen = log.inputs.length;
      await rig.hardware.lock();
      expect(await rig.locked()).toBe(true);
      await log.until(isLocked, seen);
    });

    it('locks by itself when the limit is over', async () => {
      await begin();
      await rig.hardware.unlock(300);
      await log.until(isUnlocked);
      const seen = log.inputs.length;
      await pass(299);
      if (rig.passTime) expect(await rig.locked()).toBe(false);
      await pass(2);
      await log.until(isLocked, seen);
      expect(await rig.locked()).toBe(true);
    });

    it('counts the limit anew from a further unlock', async () => {
      await begin();
      await rig.hardware.unlock(60_000);
      await pass(50_000);
      await rig.hardware.unlock(rig.passTime ? 60_000 : 100);
      const seen = log.inputs.length;
      await pass(50_000);
      if (rig.passTime) expect(await rig.locked()).toBe(false);
      await pass(10_001);
      await log.until(isLocked, seen);
      expect(await rig.locked()).toBe(true);
    });

    it('obeys the last of commands that overlap', async () => {
      await begin();
      await Promise.allSettled([rig.hardware.unlock(60_000), rig.hardware.lock()]);
      expect(await rig.locked()).toBe(true);
      await Promise.all([rig.hardware.lock(), rig.hardware.unlock(60_000)]);
      expect(await rig.locked()).toBe(false);
    });

    it('reports every change of an input', async () => {
      await begin();
      const changes: [((on: boolean) => unknown) | undefined, (input: DoorInput, on: boolean) => boolean][] =
        [
          [rig.setContact, (input, on) => input.kind === 'contact' && input.open === on],
          [rig.pressExit, (input, on) => input.kind === 'exit-request' && input.pressed === on],
          [rig.tamper, (input, on) => input.kind === 'tamper' && input.active === on],
          [rig.obstruct, (input, on) => input.kind === 'obstruction' && input.active === on],
          [rig.pass, (input, on) => input.kind === 'passage' && input.active === on],
        ];
      for (const [change, matches] of changes) {
        for (const on of change ? [true, false] : []) {
          const seen = log.inputs.length;
          await change?.(on);
          await pass(100);
          await log.until((input) => matches(input, on), seen);
        }
      }
    });

    it('reports a lost line once, refuses to unlock, and comes back locked', async () => {
      await begin();
      await rig.cut();
      await expect(rig.hardware.unlock(60_000)).rejects.toSatisfy(isDoorFault);
      await pass(5_000);
      await log.until((input) => input.kind === 'fault');
      expect(log.count('fault')).toBe(1);
      expect(log.count('recovered')).toBe(0);
      const seen = log.inputs.length;
      await rig.repair();
      await pass(5_000);
      await log.until((input) => input.kind === 'recovered', seen);
      await pass(5_000);
      expect(await rig.locked()).toBe(true);
      await rig.hardware.unlock(60_000);
      expect(await rig.locked()).toBe(false);
    });

    it('starts with its line cut: a fault, then recovered', async () => {
      rig = await openRig();
      log = new InputLog();
      await rig.cut();
      await rig.hardware.start(log.take);
      await log.until((input) => input.kind === 'fault');
      await rig.repair();
      await pass(5_000);
      await log.until((input) => input.kind === 'recovered');
      await log.until(isLocked);
    });

    it('takes a wrong reading back for a fault and locks again', async () => {
      await begin();
      await rig.readWrong(true);
      await expect(rig.hardware.unlock(60_000)).rejects.toSatisfy((error) =>
        isFault(error, 'door-hardware-failed'),
      );
      await log.until((input) => input.kind === 'fault');
      await rig.readWrong(false);
      await pass(5_000);
      await log.until((input) => input.kind === 'recovered');
      expect(await rig.locked()).toBe(true);
    });

    it('may be stopped from within its first report that it is locked, and is at rest then', async () => {
      rig = await openRig();
      log = new InputLog();
      let stopped: Promise<void> | undefined;
      await rig.hardware.start((input) => {
        if (isLocked(input)) stopped ??= rig.hardware.stop();
        log.take(input);
      });
      await log.until(isLocked);
      await stopped;
      expect(await rig.locked()).toBe(true);
      if (rig.pending) expect(rig.pending()).toBe(0);
    });

    it('locks at stop, and does not unlock any more', async () => {
      await begin();
      await rig.hardware.unlock(60_000);
      await rig.hardware.stop();
      expect(await rig.locked()).toBe(true);
      if (rig.pending) expect(rig.pending()).toBe(0);
      await expect(rig.hardware.unlock(60_000)).rejects.toSatisfy(isDoorFault);
      expect(await rig.locked()).toBe(true);
    });
  });
}
