import { UsbRelayBoard } from '#adapters/hid/usb-relay-board.ts';
import { UsbRelayDoor } from '#adapters/hid/usb-relay-door.ts';
import { after } from '#adapters/process/after.ts';
import type { DoorHardwareSet } from '#ports/door.ts';
import { busOf, FakeRelayBoard } from '../contracts/fake-relay-board.ts';

/** What a guard loads: the door `cellar` on a relay board that is plugged in and answers nothing. */
export async function openHardware(): Promise<DoorHardwareSet> {
  const board = new FakeRelayBoard('QAAMZ');
  board.hang();
  const door = new UsbRelayDoor({
    wiring: { kind: 'usb-relay', serial: 'QAAMZ', relay: 1, lockType: 'fail-secure' },
    board: new UsbRelayBoard({ hid: busOf([board]), serial: 'QAAMZ', after }),
    after,
  });
  return { doors: new Map([['cellar', door]]), indicators: new Map() };
}
