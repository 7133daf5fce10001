import type { Machine } from './machine.ts';

const program = '/opt/kazasu/test/hardware/in-machine/usb-bus.ts';
const commands = '/run/usb-bus';

/** The USB devices that can be plugged into the machine; see in-machine/usb-bus.ts. */
export type UsbDeviceName = 'relay-board' | 'keypad' | 'keyboard';

/** What happens at the USB devices of the machine, in its order, and the hands that plug them in and press their keys. */
export class UsbBus {
  /** every line that devices told */
  readonly told: string[] = [];
  readonly #machine: Machine;
  #waiting: (() => void)[] = [];

  private constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Starts the program that makes the devices; none is plugged in. */
  static async start(machine: Machine): Promise<UsbBus> {
    const bus = new UsbBus(machine);
    await machine.run(`modprobe uhid; mkfifo ${commands}`);
    const script = `cd /opt/kazasu; here=$PWD; . scripts/node-path; exec node ${program} <> ${commands}`;
    const ready = bus.next('ready');
    machine.follow(script, (line) => bus.#take(line));
    await ready;
    return bus;
  }

  /** Plugs a device in and resolves when the rules of udev have been applied to it. */
  async plug(device: UsbDeviceName): Promise<void> {
    await this.#do(`plug ${device}`);
    await this.#machine.run('udevadm settle');
  }

  async unplug(device: UsbDeviceName): Promise<void> {
    await this.#do(`unplug ${device}`);
  }

  /** Presses keys one after the other: digits, letters, `enter`, `erase`, `cancel`. */
  async press(device: UsbDeviceName, ...keys: readonly string[]): Promise<void> {
    await this.#do(`press ${device} ${keys.join(' ')}`);
  }

  /** Resolves once `line` is told after the first `since` lines; with how many had been told then. */
  async next(line: string, since = this.told.length): Promise<number> {
    for (let seen = since; ; seen += 1) {
      while (seen >= this.told.length) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      if (this.told[seen] === line) return seen + 1;
    }
  }

  async #do(command: string): Promise<void> {
    const done = this.next(command);
    await this.#machine.run(`echo '${command}' > ${commands}`);
    await done;
  }

  #take(line: string): void {
    this.told.push(line);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const tell of waiting) tell();
  }
}
