import { existsSync } from 'node:fs';
import { after } from '#adapters/process/after.ts';
import type { GpioHardwareOptions } from '#core/access/door-wiring.ts';
import type { DoorHardware, DoorHardwareSet } from '#ports/door.ts';
import type { Indicator } from '#ports/indicator.ts';
import { GpioDoor } from './gpio-door.ts';
import { GpioIndicator } from './gpio-indicator.ts';
import type { GpioLines } from './gpio-lines.ts';

/** absent where the kernel was built without the interface, which is deprecated */
const sysfsExport = '/sys/class/gpio/export';

/** The hardware module of doors and indicators on GPIO; `options` is the GpioHardwareOptions of `hardwareParts`. */
export async function openHardware(options: unknown): Promise<DoorHardwareSet> {
  const { doors, indicators } = options as GpioHardwareOptions;
  const lines = await openLines();
  return {
    doors: new Map(
      Object.entries(doors).map(([id, wiring]): [string, DoorHardware] => [
        id,
        new GpioDoor({ wiring, lines, after }),
      ]),
    ),
    indicators: new Map(
      Object.entries(indicators).map(([id, wiring]): [string, Indicator] => [
        id,
        new GpioIndicator({ wiring, lines, after }),
      ]),
    ),
  };
}

/**
 * sysfs where the kernel has it: a line stays locked there when this process ends, which the character device leaves to
 * the driver of the chip. Each is loaded only where it is used.
 */
async function openLines(): Promise<GpioLines> {
  if (existsSync(sysfsExport)) {
    const [{ Gpio }, { SysfsLines }] = await Promise.all([import('onoff'), import('./sysfs-lines.ts')]);
    return new SysfsLines({ Gpio });
  }
  const [{ linuxGpioDevices }, { CharacterDeviceLines }] = await Promise.all([
    import('./linux-gpio-devices.ts'),
    import('./character-device-lines.ts'),
  ]);
  return new CharacterDeviceLines({ devices: linuxGpioDevices });
}
