import type { After } from '#core/access/strike-keeper.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { HidAccess, HidDevice } from './hid-access.ts';

/** V-USB's shared ids, under which these boards are sold with 1, 2, 4 or 8 relays. */
const relayBoardIds = { vendorId: 0x16c0, productId: 0x05df } as const;

// One feature report of 8 bytes without a number, both ways (USAGE 0xFF00/1, REPORT_SIZE 8, REPORT_COUNT 8).
const reportId = 0;
const reportBytes = 8;
const commandOn = 0xff;
const commandOff = 0xfd;
/** in the report read: five characters that name the board, then one bit a relay (bit 0 is relay 1) */
const serialBytes = 5;
const stateOffset = 7;

/**
 * how long a caller waits, in milliseconds: the kernel gives a board that hangs 5 s for each transfer, and the guard of
 * all doors is replaced when a command to one of them takes 1 s
 */
const answerWithinMs = 600;

/**
 * One relay board, found by the serial it reports. Operations run one after the other, as the doors on it share it.
 *
 * Whoever has waited too long is told that the board hangs, and whoever comes before it has answered is told so at
 * once. Nobody may be let in by a command that was told to have failed, so none is begun any more after that; those
 * who lock ask again.
 */
export class UsbRelayBoard {
  readonly #hid: HidAccess;
  readonly #serial: string;
  readonly #after: After;
  #device: HidDevice | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  /** somebody has waited too long, and what runs has not come to its end since */
  #hangs = false;

  constructor(parts: { hid: HidAccess; serial: string; after: After }) {
    this.#hid = parts.hid;
    this.#serial = parts.serial;
    this.#after = parts.after;
  }

  /** Switches one relay (1 to 8) and resolves with whether it reads back on. Rejects with a door fault. */
  switch(relay: number, on: boolean): Promise<boolean> {
    return this.#exclusively(async (device) => {
      await device.sendFeatureReport([reportId, on ? commandOn : commandOff, relay, 0, 0, 0, 0, 0, 0]);
      return isOn(await readReport(device), relay);
    });
  }

  /** Whether a relay is on. Rejects with a door fault. */
  read(relay: number): Promise<boolean> {
    return this.#exclusively(async (device) => isOn(await readReport(device), relay));
  }

  #exclusively<T>(action: (device: HidDevice) => Promise<T>): Promise<T> {
    if (this.#hangs) return Promise.reject(this.#hanging());
    const patience = new AbortController();
    const run = this.#queue.then(() => this.#attempt(action, patience.signal));
    return new Promise((resolve, reject) => {
      const cancel = this.#after(answerWithinMs, () => {
        this.#hangs = true;
        patience.abort(this.#hanging());
        reject(patience.signal.reason);
      });
      const ended = (): void => {
        cancel();
        this.#hangs = false;
      };
      this.#queue = run.then(ended, ended);
      run.then(resolve, reject);
    });
  }

  async #attempt<T>(action: (device: HidDevice) => Promise<T>, patience: AbortSignal): Promise<T> {
    patience.throwIfAborted();
    try {
      this.#device ??= await this.#find();
      // a board found too late is kept for the next
      if (!patience.aborted) return await action(this.#device);
    } catch (error) {
      await this.#drop();
      if (isFault(error)) throw error;
      throw new Fault('door-hardware-absent', `relay board ${this.#serial} does not answer`, {
        cause: error,
      });
    }
    throw patience.reason;
  }

  #hanging(): Fault {
    return new Fault('door-hardware-failed', `relay board ${this.#serial} hangs`);
  }

  /** The serial is in the report alone, not in the USB descriptor: each board is asked. */
  async #find(): Promise<HidDevice> {
    for (const { path } of await this.#hid.list(relayBoardIds.vendorId, relayBoardIds.productId)) {
      const device = path === undefined ? undefined : await this.#openIfOurs(path);
      if (device) return device;
    }
    throw new Fault('door-hardware-absent', `relay board ${this.#serial} is not plugged in`);
  }

  /** A device of these ids that does not answer as a board is somebody else's, or one that is being unplugged. */
  async #openIfOurs(path: string): Promise<HidDevice | undefined> {
    let device: HidDevice | undefined;
    try {
      device = await this.#hid.open(path);
      const report = await readReport(device);
      if (String.fromCharCode(...report.subarray(0, serialBytes)) === this.#serial) return device;
    } catch {
      // closed below; another may be ours
    }
    await device?.close().catch(() => undefined);
    return undefined;
  }

  async #drop(): Promise<void> {
    const device = this.#device;
    this.#device = undefined;
    await device?.close().catch(() => undefined);
  }
}

function isOn(report: Uint8Array, relay: number): boolean {
  return (((report[stateOffset] ?? 0) >> (relay - 1)) & 1) === 1;
}

/** hidraw puts the report number (0) before the data. */
async function readReport(device: HidDevice): Promise<Uint8Array> {
  const answer = await device.getFeatureReport(reportId, reportBytes + 1);
  if (answer.length !== reportBytes + 1) {
    throw new Fault('door-hardware-failed', `a relay board answered ${answer.length} bytes instead of 9`);
  }
  return answer.subarray(1);
}
