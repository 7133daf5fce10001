import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '#core/fault.ts';
import { cannotOpen, type GpioLevel, type GpioLine, type GpioLines, type LineName } from './gpio-lines.ts';

export type GpioConstructor = new (
  gpio: number,
  direction: 'in' | 'high' | 'low',
  edge: 'none' | 'both',
  options: { readonly activeLow: boolean },
) => GpioLine;

/** Lines through the files of sysfs. `Gpio` is onoff's in production. A line stays as it is when this process ends. */
export class SysfsLines implements GpioLines {
  readonly #Gpio: GpioConstructor;
  readonly #root: string;

  constructor(parts: { Gpio: GpioConstructor; root?: string }) {
    this.#Gpio = parts.Gpio;
    this.#root = parts.root ?? '/sys/class/gpio';
  }

  output(name: LineName, level: GpioLevel): GpioLine {
    return this.#open(name, level === 1 ? 'high' : 'low', 'none');
  }

  input(name: LineName): GpioLine {
    return this.#open(name, 'in', 'both');
  }

  #open(name: LineName, direction: 'in' | 'high' | 'low', edge: 'none' | 'both'): GpioLine {
    const number = this.#numberOf(name);
    try {
      return new this.#Gpio(number, direction, edge, { activeLow: false });
    } catch (error) {
      throw cannotOpen(name, error);
    }
  }

  /** The global number, which differs between kernels (base 0 or 512 on a Raspberry Pi); chip and offset do not. */
  #numberOf({ chip, line }: LineName): number {
    for (const directory of this.#chips()) {
      if (this.#attribute(directory, 'label') !== chip) continue;
      if (line >= Number(this.#attribute(directory, 'ngpio'))) {
        throw new Fault('door-hardware-absent', `GPIO chip ${chip} has no line ${line}`);
      }
      return Number(this.#attribute(directory, 'base')) + line;
    }
    throw new Fault('door-hardware-absent', `there is no GPIO chip ${chip} on this machine`);
  }

  #chips(): readonly string[] {
    try {
      return readdirSync(this.#root).filter((entry) => entry.startsWith('gpiochip'));
    } catch {
      return [];
    }
  }

  #attribute(chip: string, name: string): string {
    try {
      return readFileSync(join(this.#root, chip, name), 'utf8').trim();
    } catch {
      // the chip was unplugged between the listing and the reading
      return '';
    }
  }
}
