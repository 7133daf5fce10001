import type { PinPadWiring } from '#core/access/door-wiring.ts';
import type { After } from '#core/access/strike-keeper.ts';
import { Fault } from '#core/fault.ts';
import type { PinEntry, PinPad, PinRequest } from '#ports/pin-pad.ts';
import type { HidAccess, HidDevice } from './hid-access.ts';
import { DigitBuffer, type Key, KeypadDecoder } from './keypad-digits.ts';
import type { HidSysfs } from './keypad-sysfs.ts';

/** Generic Desktop, Keyboard: the interface of a keypad that carries its keys (others carry media keys) */
const keyboardUsage = { page: 0x01, usage: 0x06 } as const;

export interface KeypadParts {
  readonly wiring: PinPadWiring;
  readonly hid: HidAccess;
  readonly sysfs: HidSysfs;
  readonly after: After;
  /** told when the keypad cannot be used, for the log; never holds a key */
  readonly onFault: (fault: Fault) => void;
}

/**
 * A USB numeric keypad. It is open only while a PIN is asked for, so that keys pressed at other times are never read.
 * A keypad that also types into the console is refused: a PIN would stand on the login prompt.
 *
 * Enter with fewer digits than the shortest PIN is ignored and the digits stay: refusing would cost the holder one of
 * few tries at a slip. Backspace erases one digit, Escape cancels.
 */
export class Keypad implements PinPad {
  readonly #parts: KeypadParts;
  #end: ((entry: PinEntry) => void) | undefined;
  /** counts requests: one that is overtaken while its keypad is being opened ends as cancelled */
  #requests = 0;

  constructor(parts: KeypadParts) {
    this.#parts = parts;
  }

  /** Looks for the keypad, so that one that is missing is known before the first PIN. */
  async start(): Promise<void> {
    await this.#find();
  }

  async stop(): Promise<void> {
    this.#requests += 1;
    this.#end?.({ kind: 'cancelled' });
  }

  async request(request: PinRequest, signal: AbortSignal): Promise<PinEntry> {
    this.#end?.({ kind: 'cancelled' });
    this.#requests += 1;
    const overtaken = this.#overtakenAfter(this.#requests, signal);
    const path = await this.#find();
    if (path === undefined) return { kind: 'absent' };
    if (overtaken()) return { kind: 'cancelled' };
    let device: HidDevice;
    try {
      device = await this.#parts.hid.open(path);
    } catch (error) {
      this.#parts.onFault(new Fault('pin-pad-absent', 'the keypad cannot be opened', { cause: error }));
      return { kind: 'absent' };
    }
    try {
      return overtaken() ? { kind: 'cancelled' } : await this.#enter(device, request, signal);
    } finally {
      await device.close().catch(() => undefined);
    }
  }

  #enter(device: HidDevice, request: PinRequest, signal: AbortSignal): Promise<PinEntry> {
    const digits = new DigitBuffer(request.maximumDigits);
    const decoder = new KeypadDecoder();
    return new Promise((resolve) => {
      const end = (entry: PinEntry): void => {
        if (this.#end === end) this.#end = undefined;
        cancelTimeout();
        signal.removeEventListener('abort', removed);
        digits.erase();
        decoder.erase();
        resolve(entry);
      };
      const removed = (): void => end({ kind: 'cancelled' });
      const cancelTimeout = this.#parts.after(request.timeoutMs, () => end({ kind: 'timeout' }));
      this.#end = end;
      signal.addEventListener('abort', removed, { once: true });
      device.on('error', () => end({ kind: 'absent' }));
      device.on('data', (report) => {
        for (const key of decoder.take(report)) {
          const entry = this.#end === end ? press(digits, key, request) : undefined;
          if (entry) end(entry);
        }
      });
    });
  }

  #overtakenAfter(request: number, signal: AbortSignal): () => boolean {
    return () => signal.aborted || request !== this.#requests;
  }

  async #find(): Promise<string | undefined> {
    const { hid, sysfs, wiring, onFault } = this.#parts;
    const devices = await hid.list(
      Number.parseInt(wiring.vendorId, 16),
      Number.parseInt(wiring.productId, 16),
    );
    const found = devices.find(
      ({ path, usagePage, usage }) =>
        path !== undefined &&
        usagePage === keyboardUsage.page &&
        usage === keyboardUsage.usage &&
        (wiring.port === undefined || sysfs.port(path) === wiring.port),
    );
    if (found?.path === undefined) {
      onFault(new Fault('pin-pad-absent', `no keypad ${wiring.vendorId}:${wiring.productId} is plugged in`));
      return undefined;
    }
    if (!sysfs.inhibited(found.path)) {
      const message = 'the keypad also types into the console: install the udev rule for keypads';
      onFault(new Fault('pin-pad-absent', message));
      return undefined;
    }
    return found.path;
  }
}

function press(digits: DigitBuffer, key: Key, request: PinRequest): PinEntry | undefined {
  if (key === 'cancel') return { kind: 'cancelled' };
  if (key === 'erase') digits.removeLast();
  else if (key !== 'enter') digits.add(key.digit);
  else if (digits.length >= request.minimumDigits) return { kind: 'entered', digits: digits.copy() };
  return undefined;
}
