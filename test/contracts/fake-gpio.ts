import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GpioConstructor, GpioLevel, GpioLine } from '#adapters/gpio/gpio-lines.ts';

export type Driven =
  | {
      readonly what: 'exported';
      readonly gpio: number;
      readonly direction: string;
      readonly level?: GpioLevel;
    }
  | { readonly what: 'written'; readonly gpio: number; readonly level: GpioLevel }
  | { readonly what: 'unexported'; readonly gpio: number };

/** A GPIO chip as onoff's `Gpio` shows it, with its entry under a directory that stands for /sys/class/gpio. */
export class FakeGpioChip {
  static readonly label = 'pinctrl-fake';
  static readonly base = 512;
  readonly root = mkdtempSync(join(tmpdir(), 'kazasu-gpio-'));
  readonly levels = new Map<number, GpioLevel>();
  /** everything done to the lines, in order */
  readonly driven: Driven[] = [];
  readonly Gpio: GpioConstructor;
  present = true;
  readWrong = false;
  readonly #lost = new Set<number>();
  readonly #watchers = new Map<number, Set<() => void>>();

  constructor() {
    const directory = join(this.root, `gpiochip${FakeGpioChip.base}`);
    mkdirSync(directory);
    writeFileSync(join(directory, 'label'), `${FakeGpioChip.label}\n`);
    writeFileSync(join(directory, 'base'), `${FakeGpioChip.base}\n`);
    writeFileSync(join(directory, 'ngpio'), '64\n');
    const chip = this;
    this.Gpio = class implements GpioLine {
      readonly #gpio: number;
      readonly #output: boolean;
      constructor(gpio: number, direction: 'in' | 'high' | 'low') {
        chip.#requirePresent(gpio);
        this.#gpio = gpio;
        this.#output = direction !== 'in';
        if (direction === 'in') chip.driven.push({ what: 'exported', gpio, direction });
        else chip.#export(gpio, direction);
      }
      readSync(): GpioLevel {
        chip.#requirePresent(this.#gpio);
        const level = chip.levels.get(this.#gpio) ?? 0;
        return this.#output && chip.readWrong ? ((1 - level) as GpioLevel) : level;
      }
      writeSync(level: GpioLevel): void {
        chip.#requirePresent();
        chip.levels.set(this.#gpio, level);
        chip.driven.push({ what: 'written', gpio: this.#gpio, level });
      }
      watch(callback: (error: null, level: GpioLevel) => void): void {
        const watchers = chip.#watchers.get(this.#gpio) ?? new Set();
        chip.#watchers.set(
          this.#gpio,
          watchers.add(() => callback(null, chip.levels.get(this.#gpio) ?? 0)),
        );
      }
      unwatchAll(): void {
        chip.#watchers.delete(this.#gpio);
      }
      unexport(): void {
        chip.driven.push({ what: 'unexported', gpio: this.#gpio });
        chip.#requirePresent();
      }
    };
  }

  /** Somebody outside drives a line: edges reach whoever watches it. */
  drive(line: number, level: GpioLevel): void {
    const gpio = FakeGpioChip.base + line;
    this.levels.set(gpio, level);
    for (const watcher of this.#watchers.get(gpio) ?? []) watcher();
  }

  level(line: number): GpioLevel | undefined {
    return this.levels.get(FakeGpioChip.base + line);
  }

  /** One line alone is gone, or back. */
  lose(line: number, lost: boolean): void {
    if (lost) this.#lost.add(FakeGpioChip.base + line);
    else this.#lost.delete(FakeGpioChip.base + line);
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  #export(gpio: number, direction: 'high' | 'low'): void {
    const level = direction === 'high' ? 1 : 0;
    this.levels.set(gpio, level);
    this.driven.push({ what: 'exported', gpio, direction, level });
  }

  #requirePresent(gpio?: number): void {
    if (!this.present || (gpio !== undefined && this.#lost.has(gpio)))
      throw Object.assign(new Error('ENODEV: no such device'), { code: 'ENODEV' });
  }
}
