import { after } from '#adapters/process/after.ts';
import type { UsbRelayHardwareOptions } from '#core/access/door-wiring.ts';
import type { DoorHardware, DoorHardwareSet } from '#ports/door.ts';
import { nodeHid } from './node-hid.ts';
import { UsbRelayBoard } from './usb-relay-board.ts';
import { UsbRelayDoor } from './usb-relay-door.ts';

/** The hardware module of strikes on USB relay boards; `options` is the UsbRelayHardwareOptions of `hardwareParts`. */
export async function openHardware(options: unknown): Promise<DoorHardwareSet> {
  const { strikes } = options as UsbRelayHardwareOptions;
  const boards = new Map<string, UsbRelayBoard>();
  const doors = new Map<string, DoorHardware>();
  for (const [id, wiring] of Object.entries(strikes)) {
    const { serial } = wiring;
    const board = boards.get(serial) ?? new UsbRelayBoard({ hid: nodeHid, serial, after });
    boards.set(serial, board);
    doors.set(id, new UsbRelayDoor({ wiring, board, after }));
  }
  return { doors, indicators: new Map() };
}
