import type { HidAccess, HidDevice } from '#adapters/hid/hid-access.ts';

/** A 16c0:05df relay board by its firmware: one feature report of 8 bytes, no power no relay. */
export class FakeRelayBoard {
  readonly serial: string;
  state = 0;
  plugged = true;
  readWrong = false;
  openHandles = 0;
  /** every report written, for what a command must look like on the wire */
  readonly written: number[][] = [];
  #hanging = false;
  readonly #unanswered: { readonly carryOut: () => void; readonly timeOut: () => void }[] = [];

  constructor(serial: string) {
    this.serial = serial;
  }

  unplug(): void {
    this.plugged = false;
    this.state = 0;
  }

  /** From now on it is there and answers no transfer. */
  hang(): void {
    this.#hanging = true;
  }

  /** transfers that nobody has answered */
  get unanswered(): number {
    return this.#unanswered.length;
  }

  /** The kernel gives up what was not answered, 5 s after it was sent. */
  timeOut(): void {
    for (const { timeOut } of this.#unanswered.splice(0)) timeOut();
  }

  /** Answers again, and first what it was sent last. */
  wake(): void {
    this.#hanging = false;
    for (const { carryOut } of this.#unanswered.splice(0)) carryOut();
  }

  open(): HidDevice {
    this.#requirePlugged();
    this.openHandles += 1;
    let open = true;
    return {
      sendFeatureReport: async (data) => {
        await this.#transfer();
        this.written.push([...data]);
        const [report, command, relay = 0] = data;
        if (data.length !== 9 || report !== 0) throw new Error('the firmware takes 8 bytes of report 0');
        const bit = 1 << (relay - 1);
        if (command === 0xff) this.state |= bit;
        else if (command === 0xfd) this.state &= ~bit;
        return data.length;
      },
      getFeatureReport: async (reportId, length) => {
        await this.#transfer();
        if (reportId !== 0 || length !== 9) throw new Error('the firmware gives 8 bytes of report 0');
        const state = this.readWrong ? ~this.state & 0xff : this.state;
        return Uint8Array.of(0, ...Buffer.from(this.serial, 'ascii'), 0, 0, state);
      },
      on: () => undefined,
      close: async () => {
        if (open) this.openHandles -= 1;
        open = false;
      },
    };
  }

  async #transfer(): Promise<void> {
    this.#requirePlugged();
    if (!this.#hanging) return;
    await new Promise<void>((resolve, reject) => {
      const timeOut = (): void => reject(new Error('ioctl (GFEATURE): Connection timed out'));
      this.#unanswered.push({ carryOut: resolve, timeOut });
    });
  }

  #requirePlugged(): void {
    if (!this.plugged) throw new Error('could not send feature report to device: No such device');
  }
}

/** The HID bus with these boards on it. */
export function busOf(boards: readonly FakeRelayBoard[]): HidAccess {
  return {
    list: async (vendorId, productId) =>
      vendorId === 0x16c0 && productId === 0x05df
        ? boards.flatMap((board, index) => (board.plugged ? [{ path: `/dev/hidraw${index}` }] : []))
        : [],
    open: async (path) => {
      const board = boards[Number(path.replace('/dev/hidraw', ''))];
      if (!board) throw new Error(`cannot open ${path}`);
      return board.open();
    },
  };
}
