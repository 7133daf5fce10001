import type { DoorHardwareSet } from '#ports/door.ts';

/** A hardware module for a guard in the test's own process: the hardware is its options. */
export async function openHardware(options: unknown): Promise<DoorHardwareSet> {
  return options as DoorHardwareSet;
}
