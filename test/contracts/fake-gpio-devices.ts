import { CharacterDeviceLines, type GpioDevices } from '#adapters/gpio/character-device-lines.ts';
import type { GpioLevel } from '#adapters/gpio/gpio-lines.ts';
import { FakeGpioChip, type FakeInterface, systemError } from './fake-gpio.ts';

interface OpenLine {
  readonly line: number;
  readonly output: boolean;
  readonly plugged: number;
}

/**
 * The kernel's side of GPIO character devices, as <linux/gpio.h> and drivers/gpio/gpiolib-cdev.c have it: numbers and
 * offsets are written out here, not taken from the program.
 */
export class FakeGpioDevices implements GpioDevices {
  readonly #chip: FakeGpioChip;
  readonly #chips = new Map<number, number>();
  readonly #lines = new Map<number, OpenLine>();
  #nextFd = 100;
  /** lines that another program holds */
  readonly heldElsewhere = new Set<number>();

  constructor(chip: FakeGpioChip) {
    this.#chip = chip;
  }

  chips(): readonly string[] {
    return ['/dev/gpiochip0', ...(this.#chip.present ? [`/dev/gpiochip${1 + this.#chip.plugged}`] : [])];
  }

  open(path: string): number {
    if (path !== '/dev/gpiochip0' && this.#chip.closedToUser) throw systemError('EACCES');
    this.#nextFd += 1;
    this.#chips.set(this.#nextFd, path === '/dev/gpiochip0' ? -1 : this.#chip.plugged);
    return this.#nextFd;
  }

  /** The kernel lets go of a line when its last file descriptor is closed. */
  close(fd: number): void {
    const line = this.#lines.get(fd);
    if (!line && !this.#chips.has(fd)) throw systemError('EBADF');
    this.#chips.delete(fd);
    this.#lines.delete(fd);
    if (line?.plugged === this.#chip.plugged) this.#chip.giveBack(line.line);
  }

  get openFds(): number {
    return this.#chips.size + this.#lines.size;
  }

  ioctl(fd: number, request: number, argument: Uint8Array): void {
    const view = new DataView(argument.buffer, argument.byteOffset, argument.byteLength);
    const chip = this.#chips.get(fd);
    const line = this.#lines.get(fd);
    if (chip !== undefined && request === 0x8044b401) this.#chipInfo(chip, argument, view);
    else if (chip !== undefined && request === 0xc250b407) this.#request(chip, view);
    else if (line && request === 0xc010b40e) view.setBigUint64(0, BigInt(this.#read(line)), true);
    else if (line && request === 0xc010b40f) this.#write(line, view);
    else throw systemError(chip === undefined && !line ? 'EBADF' : 'EINVAL');
  }

  watch(fd: number, changed: () => void): () => void {
    const line = this.#lines.get(fd);
    if (!line || line.output) throw systemError('EBADF');
    return this.#chip.watch(line.line, changed);
  }

  #chipInfo(chip: number, argument: Uint8Array, view: DataView): void {
    const label = chip < 0 ? 'another chip' : FakeGpioChip.label;
    argument.set(new TextEncoder().encode(label), 32);
    view.setUint32(64, chip < 0 ? 8 : FakeGpioChip.lines, true);
  }

  #request(chip: number, view: DataView): void {
    const line = view.getUint32(0, true);
    const flags = view.getBigUint64(288, true);
    const attributes = view.getUint32(296, true);
    if (chip !== this.#chip.plugged) throw systemError('ENODEV');
    if (view.getUint32(560, true) !== 1 || line >= FakeGpioChip.lines) throw systemError('EINVAL');
    const output = flags === 0x08n;
    // an input with both edges and nothing else, or an output whose level one attribute gives
    if (!output && (flags !== 0x34n || attributes !== 0)) throw systemError('EINVAL');
    if (
      output &&
      (attributes !== 1 || view.getUint32(320, true) !== 2 || view.getBigUint64(336, true) !== 1n)
    ) {
      throw systemError('EINVAL');
    }
    const held = [...this.#lines.values()].some((other) => other.line === line);
    if (held || this.heldElsewhere.has(line)) throw systemError('EBUSY');
    this.#chip.take(line, output ? (Number(view.getBigUint64(328, true)) as GpioLevel) : undefined);
    this.#nextFd += 1;
    this.#lines.set(this.#nextFd, { line, output, plugged: chip });
    view.setInt32(588, this.#nextFd, true);
  }

  #read(line: OpenLine): GpioLevel {
    this.#requireAlive(line);
    return this.#chip.read(line.line);
  }

  #write(line: OpenLine, view: DataView): void {
    this.#requireAlive(line);
    if (!line.output || view.getBigUint64(8, true) !== 1n) throw systemError('EPERM');
    this.#chip.write(line.line, Number(view.getBigUint64(0, true)) as GpioLevel);
  }

  #requireAlive({ plugged }: OpenLine): void {
    if (!this.#chip.present || plugged !== this.#chip.plugged) throw systemError('ENODEV');
  }
}

export function characterDeviceOf(chip: FakeGpioChip): FakeInterface & { readonly devices: FakeGpioDevices } {
  const devices = new FakeGpioDevices(chip);
  return { devices, lines: new CharacterDeviceLines({ devices }), remove: () => undefined };
}
