import { Fault } from '#core/fault.ts';
import {
  chipInfoBuffer,
  gpioRequests,
  lineRequest,
  lineValues,
  readChipInfo,
  readLineValue,
  requestedLine,
} from './gpio-abi.ts';
import { cannotOpen, type GpioLevel, type GpioLine, type GpioLines, type LineName } from './gpio-lines.ts';

/** What is done with the character devices of GPIO chips; linux-gpio-devices.ts in production. All throw system errors. */
export interface GpioDevices {
  /** paths of the chips present */
  chips(): readonly string[];
  open(path: string): number;
  close(fd: number): void;
  /** `argument` is read and written by the kernel */
  ioctl(fd: number, request: number, argument: Uint8Array): void;
  /** Calls `changed` after edges of the line `fd`, and once when it is gone. Returns what ends that. */
  watch(fd: number, changed: () => void): () => void;
}

/** the longest label that fits a struct gpiochip_info */
const maximumLabelLength = 31;

/**
 * Lines through the character device. A line is this process's alone, and falls to what the chip's driver makes of a
 * line that nobody holds as soon as this process ends, however it does.
 */
export class CharacterDeviceLines implements GpioLines {
  readonly #devices: GpioDevices;

  constructor(parts: { devices: GpioDevices }) {
    this.#devices = parts.devices;
  }

  output(name: LineName, level: GpioLevel): GpioLine {
    return this.#open(name, level);
  }

  input(name: LineName): GpioLine {
    return this.#open(name);
  }

  #open(name: LineName, level?: GpioLevel): GpioLine {
    const chip = this.#chipOf(name);
    try {
      const request = lineRequest(name.line, level);
      this.#devices.ioctl(chip, gpioRequests.line, request);
      return new CharacterDeviceLine(this.#devices, requestedLine(request));
    } catch (error) {
      throw cannotOpen(name, error);
    } finally {
      // the line holds its chip by itself
      this.#devices.close(chip);
    }
  }

  /** The numbers of chips differ between kernels and boots; labels do not. */
  #chipOf({ chip, line }: LineName): number {
    let cause: unknown;
    for (const path of this.#devices.chips()) {
      try {
        const opened = this.#openIfLabelled(path, chip, line);
        if (opened !== undefined) return opened;
      } catch (error) {
        // one that is being unplugged or is not for this user; another may be the right one
        cause = error;
      }
    }
    if (cause instanceof Fault) throw cause;
    throw new Fault('door-hardware-absent', `there is no GPIO chip ${chip} that this user may open`, {
      cause,
    });
  }

  #openIfLabelled(path: string, chip: string, line: number): number | undefined {
    const fd = this.#devices.open(path);
    try {
      const info = chipInfoBuffer();
      this.#devices.ioctl(fd, gpioRequests.chipInfo, info);
      const { label, lines } = readChipInfo(info);
      if (label === chip.slice(0, maximumLabelLength)) {
        if (line < lines) return fd;
        throw new Fault('door-hardware-absent', `GPIO chip ${chip} has no line ${line}`);
      }
    } catch (error) {
      this.#devices.close(fd);
      throw error;
    }
    this.#devices.close(fd);
    return undefined;
  }
}

class CharacterDeviceLine implements GpioLine {
  readonly #devices: GpioDevices;
  readonly #fd: number;
  #unwatch: (() => void) | undefined;

  constructor(devices: GpioDevices, fd: number) {
    this.#devices = devices;
    this.#fd = fd;
  }

  readSync(): GpioLevel {
    const values = lineValues();
    this.#devices.ioctl(this.#fd, gpioRequests.getValues, values);
    return readLineValue(values);
  }

  writeSync(level: GpioLevel): void {
    this.#devices.ioctl(this.#fd, gpioRequests.setValues, lineValues(level));
  }

  watch(changed: () => void): void {
    this.#unwatch = this.#devices.watch(this.#fd, changed);
  }

  unwatchAll(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  unexport(): void {
    this.unwatchAll();
    this.#devices.close(this.#fd);
  }
}
