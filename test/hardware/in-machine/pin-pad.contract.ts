import { expect } from 'vitest';
import type { HidAccess } from '#adapters/hid/hid-access.ts';
import { Keypad } from '#adapters/hid/keypad.ts';
import { hidSysfs } from '#adapters/hid/keypad-sysfs.ts';
import { nodeHid } from '#adapters/hid/node-hid.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { wiring } from '../../contracts/fake-keypad.ts';
import { describePinPad } from '../../contracts/pin-pad.ts';
import { EmulatedKeyboard } from './usb-devices.ts';

/** A keypad with the ids of the udev rule, which is the shipped one, and has been applied to it. */
async function plugIn(): Promise<EmulatedKeyboard> {
  const ids = { vendorId: 0x04d9, productId: 0xa02a };
  const keypad = new EmulatedKeyboard(ids);
  const taken = async (): Promise<boolean> => {
    const [device] = await nodeHid.list(ids.vendorId, ids.productId);
    return device?.path !== undefined && hidSysfs().inhibited(device.path);
  };
  await expect.poll(taken, { timeout: 60_000 }).toBe(true);
  return keypad;
}

describePinPad('USB keypad of the kernel', async () => {
  let keypad: EmulatedKeyboard | undefined = await plugIn();
  const clock = new SimulatedClock({ utcMs: 0 });
  const listened: (() => void)[] = [];
  const hid: HidAccess = {
    list: nodeHid.list,
    open: async (path) => {
      const device = await nodeHid.open(path);
      return {
        sendFeatureReport: (report) => device.sendFeatureReport(report),
        getFeatureReport: (id, length) => device.getFeatureReport(id, length),
        on: (event: 'data' | 'error', listener: (given: never) => void) => {
          device.on(event as 'data', listener as (report: Uint8Array) => void);
          if (event === 'data') for (const tell of listened.splice(0)) tell();
        },
        close: () => device.close(),
      };
    },
  };
  return {
    pad: new Keypad({
      wiring,
      hid,
      sysfs: hidSysfs(),
      after: (ms, action) => clock.after(ms, action),
      onFault: () => undefined,
    }),
    asking: () => new Promise<void>((resolve) => listened.push(resolve)),
    press: (digit) => keypad?.press(String(digit)),
    erase: () => keypad?.press('erase'),
    enter: () => keypad?.press('enter'),
    cancel: () => keypad?.press('cancel'),
    plug: async (present) => {
      if (!present) keypad?.unplug();
      keypad = present ? await plugIn() : undefined;
    },
    passTime: (ms) => clock.advanceAsync(ms),
    close: async () => keypad?.unplug(),
  };
});
