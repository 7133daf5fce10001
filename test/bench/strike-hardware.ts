import { appendFileSync } from 'node:fs';
import type { DoorHardware, DoorHardwareSet } from '#ports/door.ts';

/** A door for the guard process whose strike does nothing but note, in the file `options`, when it is driven. */
export async function openHardware(options: unknown): Promise<DoorHardwareSet> {
  const file = String(options);
  const door: DoorHardware = {
    start: async (onInput) => onInput({ kind: 'strike', locked: true }),
    stop: async () => undefined,
    lock: async () => undefined,
    unlock: async () => {
      const atUs = process.hrtime.bigint() / 1_000n;
      appendFileSync(file, `${atUs}\n`);
    },
  };
  return { doors: new Map([['door', door]]), indicators: new Map([['reader', { show: () => undefined }]]) };
}
