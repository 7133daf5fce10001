import type { HidAccess, HidDevice } from '#adapters/hid/hid-access.ts';
import type { HidSysfs } from '#adapters/hid/keypad-sysfs.ts';
import type { PinPadWiring } from '#core/access/door-wiring.ts';

export const wiring: PinPadWiring = { kind: 'usb-keypad', vendorId: '04d9', productId: 'a02a' };

/** A USB keypad as HID shows it: boot reports to whoever has it open, and to nobody else. */
export class FakeKeypad {
  plugged = true;
  readonly reports: Uint8Array[] = [];
  #listeners: { data: (report: Uint8Array) => void; error: (error: unknown) => void }[] = [];
  #opened: (() => void)[] = [];

  readonly hid: HidAccess = {
    list: async (vendorId, productId) =>
      this.plugged && vendorId === 0x04d9 && productId === 0xa02a
        ? [
            { path: '/dev/hidraw4', usagePage: 0x0c, usage: 1 },
            { path: '/dev/hidraw3', usagePage: 0x01, usage: 6 },
          ]
        : [],
    open: async (path) => {
      if (!this.plugged || path !== '/dev/hidraw3') throw new Error('cannot open device');
      return this.#open();
    },
  };

  get handles(): number {
    return this.#listeners.length;
  }

  /** Resolves at the next moment somebody listens to the keys. */
  listened(): Promise<void> {
    return new Promise((resolve) => this.#opened.push(resolve));
  }

  key(usage: number): void {
    this.report(Uint8Array.of(0, 0, usage, 0, 0, 0, 0, 0));
    this.report(new Uint8Array(8));
  }

  report(report: Uint8Array): void {
    this.reports.push(report);
    for (const listener of [...this.#listeners]) listener.data(report);
  }

  plug(present: boolean): void {
    this.plugged = present;
    if (!present) for (const listener of [...this.#listeners]) listener.error(new Error('could not read'));
  }

  #open(): HidDevice {
    const listener = { data: (_: Uint8Array): void => undefined, error: (_: unknown): void => undefined };
    this.#listeners.push(listener);
    const on = (event: 'data' | 'error', listen: never): void => {
      listener[event] = listen;
      if (event === 'data') for (const opened of this.#opened.splice(0)) opened();
    };
    return {
      sendFeatureReport: async () => 0,
      getFeatureReport: async () => new Uint8Array(),
      on: on as HidDevice['on'],
      close: async () => {
        this.#listeners = this.#listeners.filter((other) => other !== listener);
      },
    };
  }
}

/** In its port, and given to nobody but the terminal. */
export const taken: HidSysfs = { port: () => '1-1.2:1.0', inhibited: () => true };

/** Usages of the digits above the letters, and of those of the number pad. */
export const usageOf = {
  row: (digit: number) => 0x1d + (digit || 10),
  keypad: (digit: number) => 0x58 + (digit || 10),
};
