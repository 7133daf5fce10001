import { UhidDevice } from './uhid.ts';

/** HID 1.11, appendix B.1, without lamps: eight modifiers as bits, a reserved byte, six keys that are down */
const bootKeyboard = bytes(
  '05 01 09 06 a1 01 05 07 19 e0 29 e7 15 00 25 01 75 01 95 08 81 02 75 08 95 01 81 01 19 00 29 65 25 65 95 06 81 00 c0',
);
/** one feature report of 8 bytes, vendor-defined */
const relayBoard = bytes('06 00 ff 09 01 a1 01 15 00 26 ff 00 75 08 95 08 09 00 b2 02 01 c0');

/** Keys by name, as usages of HID Usage Tables 1.5, chapter 10; digits are those of the number pad. */
const usages: ReadonlyMap<string, number> = new Map([
  ['enter', 0x58],
  ['erase', 0x2a],
  ['cancel', 0x29],
  ...numbered('1234567890', 0x59),
  ...numbered('abcdefghijklmnopqrstuvwxyz', 0x04),
]);

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.split(' '), (byte) => Number.parseInt(byte, 16));
}

function numbered(names: string, first: number): readonly (readonly [string, number])[] {
  return Array.from(names, (name, index) => [name, first + index]);
}

/** A USB numeric keypad, or any keyboard. */
export class EmulatedKeyboard {
  readonly #device: UhidDevice;

  constructor({
    vendorId,
    productId,
    used,
  }: {
    readonly vendorId: number;
    readonly productId: number;
    readonly used?: (open: boolean) => void;
  }) {
    this.#device = new UhidDevice({
      name: 'Emulated Keyboard',
      vendorId,
      productId,
      reportDescriptor: bootKeyboard,
      ...(used && { used }),
    });
  }

  /** Presses a key and lets go of it: a digit of the number pad, a letter, `enter`, `erase` or `cancel`. */
  press(key: string): void {
    const usage = usages.get(key);
    if (usage === undefined) throw new Error(`no key "${key}"`);
    this.#device.input(Uint8Array.of(0, 0, usage, 0, 0, 0, 0, 0));
    this.#device.input(new Uint8Array(8));
  }

  unplug(): void {
    this.#device.unplug();
  }
}

/** A USB relay board 16c0:05df with 8 relays. As long as it is plugged in it has power: its relays stay as they are told. */
export class EmulatedRelayBoard {
  readonly #device: UhidDevice;
  readonly #serial: string;
  #relays = 0;

  /** `moved` is told what each command asks for, whether the relay was so before or not. */
  constructor({
    serial,
    moved,
  }: { readonly serial: string; readonly moved: (relay: number, on: boolean) => void }) {
    this.#serial = serial;
    this.#device = new UhidDevice({
      name: 'www.dcttech.com USBRelay8',
      vendorId: 0x16c0,
      productId: 0x05df,
      reportDescriptor: relayBoard,
      feature: {
        get: () => Uint8Array.of(0, ...Buffer.from(this.#serial, 'ascii'), 0, 0, this.#relays),
        set: ([, command = 0, relay = 0]) => {
          const on = command === 0xff;
          const bit = 1 << (relay - 1);
          this.#relays = on ? this.#relays | bit : this.#relays & ~bit;
          moved(relay, on);
        },
      },
    });
  }

  unplug(): void {
    this.#device.unplug();
  }
}
