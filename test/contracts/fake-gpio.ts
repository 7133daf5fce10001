import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GpioLevel, GpioLine, GpioLines } from '#adapters/gpio/gpio-lines.ts';
import { type GpioConstructor, SysfsLines } from '#adapters/gpio/sysfs-lines.ts';

/** What was done to a line, by its offset. */
export type Driven =
  | { readonly what: 'taken'; readonly line: number; readonly level?: GpioLevel }
  | { readonly what: 'written'; readonly line: number; readonly level: GpioLevel }
  | { readonly what: 'given back'; readonly line: number };

/** The wires of a GPIO chip and what is done to them, by whatever interface the kernel offers. */
export class FakeGpioChip {
  static readonly label = 'pinctrl-fake';
  static readonly lines = 64;
  /** everything done to the lines, in order */
  readonly driven: Driven[] = [];
  readWrong = false;
  closedToUser = false;
  readonly #levels = new Map<number, GpioLevel>();
  readonly #lost = new Set<number>();
  readonly #outputs = new Set<number>();
  readonly #watchers = new Map<number, Set<() => void>>();
  #present = true;
  /** counts how often the chip was plugged in: what was opened before is dead */
  #plugged = 0;

  get present(): boolean {
    return this.#present;
  }

  set present(present: boolean) {
    if (present && !this.#present) this.#plugged += 1;
    this.#present = present;
  }

  get plugged(): number {
    return this.#plugged;
  }

  take(line: number, level?: GpioLevel): void {
    if (this.closedToUser) throw systemError('EACCES');
    this.requirePresent(line);
    if (level !== undefined) {
      this.#levels.set(line, level);
      this.#outputs.add(line);
    }
    this.driven.push({ what: 'taken', line, ...(level === undefined ? {} : { level }) });
  }

  read(line: number): GpioLevel {
    this.requirePresent(line);
    const level = this.level(line);
    return this.#outputs.has(line) && this.readWrong ? ((1 - level) as GpioLevel) : level;
  }

  write(line: number, level: GpioLevel): void {
    this.requirePresent();
    this.#levels.set(line, level);
    this.driven.push({ what: 'written', line, level });
  }

  giveBack(line: number): void {
    this.#outputs.delete(line);
    this.#watchers.delete(line);
    this.driven.push({ what: 'given back', line });
  }

  watch(line: number, changed: () => void): () => void {
    const watchers = this.#watchers.get(line) ?? new Set();
    this.#watchers.set(line, watchers.add(changed));
    return () => watchers.delete(changed);
  }

  /** Somebody outside drives a line: edges reach whoever watches it. */
  drive(line: number, level: GpioLevel): void {
    this.#levels.set(line, level);
    for (const watcher of this.#watchers.get(line) ?? []) watcher();
  }

  /** A level changes and no edge tells of it. */
  driveUnseen(line: number, level: GpioLevel): void {
    this.#levels.set(line, level);
  }

  level(line: number): GpioLevel {
    return this.#levels.get(line) ?? 0;
  }

  /** One line alone is gone, or back. */
  lose(line: number, lost: boolean): void {
    if (lost) this.#lost.add(line);
    else this.#lost.delete(line);
  }

  requirePresent(line?: number): void {
    if (!this.#present || (line !== undefined && this.#lost.has(line))) throw systemError('ENODEV');
  }
}

export function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** Lines of a chip under test, by one of the kernel's interfaces. */
export interface FakeInterface {
  readonly lines: GpioLines;
  remove(): void;
}

const base = 512;

/** The chip as onoff's `Gpio` shows it, with its entry under a directory that stands for /sys/class/gpio. */
export function sysfsOf(chip: FakeGpioChip): FakeInterface {
  const root = mkdtempSync(join(tmpdir(), 'kazasu-gpio-'));
  const directory = join(root, `gpiochip${base}`);
  mkdirSync(directory);
  writeFileSync(join(directory, 'label'), `${FakeGpioChip.label}\n`);
  writeFileSync(join(directory, 'base'), `${base}\n`);
  writeFileSync(join(directory, 'ngpio'), `${FakeGpioChip.lines}\n`);
  return {
    lines: new SysfsLines({ Gpio: gpioOf(chip), root }),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

function gpioOf(chip: FakeGpioChip): GpioConstructor {
  return class implements GpioLine {
    readonly #line: number;
    readonly #unwatch: (() => void)[] = [];
    constructor(gpio: number, direction: 'in' | 'high' | 'low') {
      this.#line = gpio - base;
      chip.take(this.#line, direction === 'in' ? undefined : direction === 'high' ? 1 : 0);
    }
    readSync(): GpioLevel {
      return chip.read(this.#line);
    }
    writeSync(level: GpioLevel): void {
      chip.write(this.#line, level);
    }
    watch(changed: () => void): void {
      this.#unwatch.push(chip.watch(this.#line, changed));
    }
    unwatchAll(): void {
      for (const unwatch of this.#unwatch.splice(0)) unwatch();
    }
    unexport(): void {
      chip.giveBack(this.#line);
      chip.requirePresent();
    }
  };
}
