import { z } from 'zod';
import type { After } from '#core/access/strike-keeper.ts';
import type { DoorHardware, DoorHardwareSet } from '#ports/door.ts';
import type { Indicator } from '#ports/indicator.ts';
import { DoorClient } from './door-client.ts';
import { SimulatedDoorHardware } from './simulated-hardware.ts';

const optionsSchema = z.strictObject({
  socketPath: z.string().min(1),
  doors: z.array(z.string()),
  /** by reader id, the door it stands at */
  readers: z.record(z.string(), z.string()),
});
export type SimulatedHardwareOptions = z.infer<typeof optionsSchema>;

const after: After = (delayMs, action) => {
  const timer = setTimeout(action, delayMs);
  return () => clearTimeout(timer);
};

/** The hardware module of simulated doors that live in a process of their own (door-main.ts). */
export async function openHardware(options: unknown): Promise<DoorHardwareSet> {
  const { socketPath, doors, readers } = optionsSchema.parse(options);
  const client = new DoorClient(socketPath);
  return {
    doors: new Map(
      doors.map((id): [string, DoorHardware] => [
        id,
        new SimulatedDoorHardware({ line: client.line(id), after }),
      ]),
    ),
    indicators: new Map(
      Object.entries(readers).map(([reader, door]): [string, Indicator] => [
        reader,
        { show: (indication) => client.show(door, reader, indication) },
      ]),
    ),
  };
}
