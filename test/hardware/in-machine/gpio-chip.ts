import { readFileSync, writeFileSync } from 'node:fs';
import { Gpio } from 'onoff';
import { CharacterDeviceLines } from '#adapters/gpio/character-device-lines.ts';
import type { GpioLevel, GpioLine, GpioLines, LineName } from '#adapters/gpio/gpio-lines.ts';
import { linuxGpioDevices } from '#adapters/gpio/linux-gpio-devices.ts';
import { SysfsLines } from '#adapters/gpio/sysfs-lines.ts';

export const label = 'pinctrl-bcm2711';

/** the chip of the machine in configfs, as emulated-device made it */
const settings = '/sys/kernel/config/gpio-sim/board';

/** The wires of the machine's GPIO chip, on the side that the kernel does not show to programs. */
class Chip {
  #wires = wires();

  /** Plugged in anew, with every wire low. */
  replace(): void {
    this.unplug();
    this.plug();
  }

  unplug(): void {
    writeFileSync(`${settings}/live`, '0');
  }

  plug(): void {
    writeFileSync(`${settings}/live`, '1');
    this.#wires = wires();
  }

  pull(line: number, level: GpioLevel): void {
    writeFileSync(`${this.#wires}${line}/pull`, level === 1 ? 'pull-up' : 'pull-down');
  }

  level(line: number): number {
    return Number(readFileSync(`${this.#wires}${line}/value`, 'utf8'));
  }
}
export const chip = new Chip();

/** Where the wires of the chip that is there now are; its line is to follow. */
function wires(): string {
  const [device, bank] = ['dev_name', 'bank/chip_name'].map((name) =>
    readFileSync(`${settings}/${name}`, 'utf8').trim(),
  );
  return `/sys/devices/platform/${device}/${bank}/sim_gpio`;
}

/** The two interfaces of the kernel. */
export const interfaces: readonly (readonly [string, GpioLines])[] = [
  ['sysfs', new SysfsLines({ Gpio })],
  ['character device', new CharacterDeviceLines({ devices: linuxGpioDevices })],
];

/**
 * Lines of the machine's chip for one test. Outputs can be made to read back wrong, which the kernel's simulated chip does
 * not, and are let go at the end, as those of a process are.
 */
export class TestedLines implements GpioLines {
  contrary = false;
  readonly #lines: GpioLines;
  readonly #outputs = new Set<GpioLine>();

  constructor(lines: GpioLines) {
    this.#lines = lines;
  }

  input(name: LineName): GpioLine {
    return this.#lines.input(name);
  }

  output(name: LineName, level: GpioLevel): GpioLine {
    const line = this.#lines.output(name, level);
    this.#outputs.add(line);
    return {
      readSync: () => (this.contrary ? ((1 - line.readSync()) as GpioLevel) : line.readSync()),
      writeSync: (level) => line.writeSync(level),
      watch: (changed) => line.watch(changed),
      unwatchAll: () => line.unwatchAll(),
      unexport: () => {
        this.#outputs.delete(line);
        line.unexport();
      },
    };
  }

  letGo(): void {
    for (const line of this.#outputs) line.unexport();
  }
}
