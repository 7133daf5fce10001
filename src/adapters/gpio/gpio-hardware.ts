import { Gpio } from 'onoff';
import { after } from '#adapters/process/after.ts';
import { gpioHardwareSchema } from '#core/access/door-wiring.ts';
import type { DoorHardware, DoorHardwareSet } from '#ports/door.ts';
import type { Indicator } from '#ports/indicator.ts';
import { GpioDoor } from './gpio-door.ts';
import { GpioIndicator } from './gpio-indicator.ts';
import { GpioLines } from './gpio-lines.ts';

/** The hardware module of doors and indicators on GPIO; `options` is a GpioHardwareOptions. */
export async function openHardware(options: unknown): Promise<DoorHardwareSet> {
  const { doors, indicators } = gpioHardwareSchema.parse(options);
  const lines = new GpioLines({ Gpio });
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
