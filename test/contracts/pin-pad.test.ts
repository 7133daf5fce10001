import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Keypad } from '#adapters/hid/keypad.ts';
import { type HidSysfs, hidSysfs } from '#adapters/hid/keypad-sysfs.ts';
import type { PinPadWiring } from '#core/access/door-wiring.ts';
import type { Fault } from '#core/fault.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { SimulatedPinPad } from '#simulators/door/simulated-pin-pad.ts';
import { FakeKeypad, taken, usageOf, wiring } from './fake-keypad.ts';
import { describePinPad } from './pin-pad.ts';

function build(sysfs: HidSysfs = taken, chosen: PinPadWiring = wiring) {
  const keypad = new FakeKeypad();
  const clock = new SimulatedClock({ utcMs: 0 });
  const faults: Fault[] = [];
  const pad = new Keypad({
    wiring: chosen,
    hid: keypad.hid,
    sysfs,
    after: (ms, action) => clock.after(ms, action),
    onFault: (fault) => faults.push(fault),
  });
  return { keypad, clock, pad, faults };
}

for (const keys of ['row', 'keypad'] as const) {
  describePinPad(`USB keypad, ${keys} digits`, async () => {
    const { keypad, clock, pad } = build();
    return {
      pad,
      asking: () => keypad.listened(),
      press: (digit) => keypad.key(usageOf[keys](digit)),
      erase: () => keypad.key(0x2a),
      enter: () => keypad.key(keys === 'row' ? 0x28 : 0x58),
      cancel: () => keypad.key(0x29),
      plug: (present) => keypad.plug(present),
      passTime: (ms) => clock.advanceAsync(ms),
      close: async () => undefined,
    };
  });
}

describePinPad('simulator', async () => {
  const clock = new SimulatedClock({ utcMs: 0 });
  const pad = new SimulatedPinPad({ clock });
  return {
    pad,
    asking: async () => expect(pad.asking()).toBe(true),
    press: (digit) => pad.press(digit),
    erase: () => pad.erase(),
    enter: () => pad.enter(),
    cancel: () => pad.cancel(),
    plug: (present) => pad.plug(present),
    passTime: (ms) => clock.advanceAsync(ms),
    close: async () => undefined,
  };
});

const request = { minimumDigits: 4, maximumDigits: 8, timeoutMs: 30_000 };

it('reads keys held down together as one each, in their order, and ignores roll-over', async () => {
  const { keypad, pad } = build();
  const entry = pad.request(request, new AbortController().signal);
  await keypad.listened();
  keypad.report(Uint8Array.of(0, 0, 0x59, 0, 0, 0, 0, 0));
  keypad.report(Uint8Array.of(0, 0, 0x59, 0x5a, 0, 0, 0, 0));
  keypad.report(Uint8Array.of(0, 0, 1, 1, 1, 1, 1, 1));
  keypad.report(Uint8Array.of(0, 0, 0x5a, 0x5b, 0, 0, 0, 0));
  keypad.report(Uint8Array.of(0, 0, 0x5a, 0x5b, 0x5c, 0, 0, 0));
  keypad.report(new Uint8Array(8));
  keypad.key(0x58);
  expect(await entry).toEqual({ kind: 'entered', digits: Uint8Array.of(0x31, 0x32, 0x33, 0x34) });
});

it('erases every report and closes the keypad after each PIN', async () => {
  const { keypad, pad } = build();
  const entry = pad.request(request, new AbortController().signal);
  await keypad.listened();
  for (const digit of [1, 2, 3, 4]) keypad.key(usageOf.keypad(digit));
  keypad.key(0x58);
  await entry;
  expect(keypad.reports.every((report) => report.every((byte) => byte === 0))).toBe(true);
  expect(keypad.handles).toBe(0);
});

it('refuses a keypad that types into the console, and says what to do', async () => {
  const { pad, faults } = build({ port: () => '1-1.2:1.0', inhibited: () => false });
  expect(await pad.request(request, new AbortController().signal)).toEqual({ kind: 'absent' });
  expect(faults.map((fault) => fault.code)).toEqual(['pin-pad-absent']);
  expect(faults[0]?.message).toMatch(/udev/);
});

it('takes only the keypad on its own port', async () => {
  const { pad } = build(taken, { ...wiring, port: '1-1.3:1.0' });
  expect(await pad.request(request, new AbortController().signal)).toEqual({ kind: 'absent' });
});

it('reads port and inhibition from /sys', () => {
  const root = mkdtempSync(join(tmpdir(), 'kazasu-hidraw-'));
  const device = join(root, 'devices/usb1/1-1/1-1.2/1-1.2:1.0/0003:04D9:A02A.0001');
  const inhibited = join(device, 'input/input7/inhibited');
  mkdirSync(join(device, 'input/input7'), { recursive: true });
  mkdirSync(join(root, 'class/hidraw3'), { recursive: true });
  symlinkSync(device, join(root, 'class/hidraw3/device'));
  const sysfs = hidSysfs(join(root, 'class'));
  expect(sysfs.port('/dev/hidraw3')).toBe('1-1.2:1.0');
  // a kernel without the attribute (before 5.11) cannot be told to keep the keys from the console
  expect(sysfs.inhibited('/dev/hidraw3')).toBe(false);
  writeFileSync(inhibited, '0\n');
  expect(sysfs.inhibited('/dev/hidraw3')).toBe(false);
  writeFileSync(inhibited, '1\n');
  expect(sysfs.inhibited('/dev/hidraw3')).toBe(true);
  rmSync(join(device, 'input'), { recursive: true });
  expect(sysfs.inhibited('/dev/hidraw3')).toBe(true);
  expect(sysfs.port('/dev/hidraw9')).toBeUndefined();
  expect(sysfs.inhibited('/dev/hidraw9')).toBe(false);
  rmSync(root, { recursive: true });
});
