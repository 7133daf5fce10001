import { createInterface } from 'node:readline';
import { EmulatedKeyboard, EmulatedRelayBoard } from './usb-devices.ts';

/**
 * The USB devices of the emulated machine: takes a command a line (`plug DEVICE`, `unplug DEVICE`, `press DEVICE KEY...`)
 * and prints what the devices see a line each (`keypad open`, `relay-board 1 on`).
 */
const devices = {
  'relay-board': () =>
    new EmulatedRelayBoard({
      serial: 'KAZA1',
      moved: (relay, on) => say(`relay-board ${relay} ${on ? 'on' : 'off'}`),
    }),
  /** with the ids of the udev rule as shipped */
  keypad: () =>
    new EmulatedKeyboard({
      vendorId: 0x04d9,
      productId: 0xa02a,
      used: (open) => say(`keypad ${open ? 'open' : 'closed'}`),
    }),
  /** any other keyboard */
  keyboard: () => new EmulatedKeyboard({ vendorId: 0x046d, productId: 0xc31c }),
} as const;
const plugged = new Map<string, EmulatedKeyboard | EmulatedRelayBoard>();

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function obey(line: string): void {
  const [command, name = '', ...keys] = line.split(' ');
  const device = plugged.get(name);
  if (command === 'plug' && name in devices && !device) {
    plugged.set(name, devices[name as keyof typeof devices]());
  } else if (command === 'unplug' && device) {
    plugged.delete(name);
    device.unplug();
  } else if (command === 'press' && device instanceof EmulatedKeyboard) {
    for (const key of keys) device.press(key);
  } else throw new Error(`cannot be done: ${line}`);
  say(line);
}

createInterface(process.stdin).on('line', obey);
say('ready');
