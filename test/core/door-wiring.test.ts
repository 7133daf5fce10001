import { describe, expect, it } from 'vitest';
import {
  doorWiringSchema,
  type GpioHardwareOptions,
  type HardwarePart,
  hardwareOf,
  hardwareParts,
  inputWiringSchema,
  outputWiringSchema,
  pinPadWiringSchema,
  type TerminalWiring,
  type UsbRelayHardwareOptions,
  wiringConflicts,
} from '#core/access/door-wiring.ts';

const chip = 'pinctrl-bcm2711';
const modules = { gpio: '/gpio.ts', usbRelay: '/relay.ts' };
const wiring: TerminalWiring = {
  doors: {
    front: doorWiringSchema.parse({
      strike: { kind: 'gpio', chip, line: 17, active: 'low' },
      contact: { chip, line: 22, active: 'high' },
    }),
    back: doorWiringSchema.parse({
      strike: { kind: 'usb-relay', serial: 'QAAMZ', relay: 1 },
      exitRequest: { chip, line: 23, active: 'low' },
    }),
    side: doorWiringSchema.parse({
      strike: { kind: 'usb-relay', serial: 'QAAMZ', relay: 2, lockType: 'fail-safe' },
    }),
  },
  inputs: {},
  outputs: {},
  indicators: { in: { granted: { chip, line: 5, active: 'high' } } },
};

function optionsOf<Options>(part: HardwarePart | undefined): Options {
  if (!part) throw new Error('nothing is wired to it');
  return part.options as Options;
}

describe('wiring', () => {
  it('is divided among the adapters, each getting what it drives', () => {
    const [gpio, relay] = hardwareParts(wiring, modules);
    expect(gpio?.module).toBe('/gpio.ts');
    const lines = optionsOf<GpioHardwareOptions>(gpio);
    expect(Object.keys(lines.doors)).toEqual(['front', 'back']);
    expect(lines.doors.back?.strike).toBeUndefined();
    expect(lines.doors.back?.exitRequest?.line).toBe(23);
    expect(relay?.module).toBe('/relay.ts');
    const strikes = optionsOf<UsbRelayHardwareOptions>(relay).strikes;
    expect(Object.keys(strikes)).toEqual(['back', 'side']);
    expect(strikes.side?.lockType).toBe('fail-safe');
  });

  it('asks for no adapter that nothing is wired to', () => {
    expect(hardwareParts({ doors: {}, inputs: {}, outputs: {}, indicators: {} }, modules)).toEqual([]);
    const { side } = wiring.doors;
    const only = hardwareParts(
      { doors: side ? { side } : {}, inputs: {}, outputs: {}, indicators: {} },
      modules,
    );
    expect(only.map(({ module }) => module)).toEqual(['/relay.ts']);
  });

  it('of an elevator is one output a floor, and of what belongs to no door an output or a contact', () => {
    const lift = doorWiringSchema.parse({
      floors: {
        '1': { kind: 'gpio', chip, line: 1 },
        '2': { kind: 'usb-relay', serial: 'QAAMZ', relay: 3 },
      },
    });
    const all: TerminalWiring = {
      doors: { lift },
      inputs: { panel: inputWiringSchema.parse({ chip, line: 6, active: 'high' }) },
      outputs: { siren: outputWiringSchema.parse({ kind: 'gpio', chip, line: 7, active: 'low' }) },
      indicators: {},
    };
    expect([...hardwareOf(all).keys()]).toEqual(['lift/1', 'lift/2', 'input:panel', 'output:siren']);
    const [gpio, relay] = hardwareParts(all, modules);
    const { doors } = optionsOf<GpioHardwareOptions>(gpio);
    expect(doors['lift/1']?.strike?.line).toBe(1);
    expect(doors['input:panel']?.contact?.line).toBe(6);
    expect(doors['output:siren']?.strike).toMatchObject({ active: 'low', lockType: 'fail-secure' });
    expect(optionsOf<UsbRelayHardwareOptions>(relay).strikes['lift/2']?.relay).toBe(3);
    const also = { ...all, outputs: { horn: outputWiringSchema.parse({ kind: 'gpio', chip, line: 1 }) } };
    expect(wiringConflicts(also)).toEqual([
      { resource: `GPIO line 1 of ${chip}`, users: ['door lift: floor 1', 'output horn'] },
    ]);
  });

  it.each([
    ['neither strike nor floors', {}],
    ['both', { strike: { kind: 'gpio', chip, line: 1 }, floors: { '1': { kind: 'gpio', chip, line: 2 } } }],
    ['no floor', { floors: {} }],
    [
      'a contact of an elevator',
      { floors: { '1': { kind: 'gpio', chip, line: 2 } }, contact: { chip, line: 3, active: 'high' } },
    ],
  ])('refuses a door with %s', (_, wired) => {
    expect(doorWiringSchema.safeParse(wired).success).toBe(false);
  });

  it('shows every line and relay with more than one user', () => {
    expect(wiringConflicts(wiring)).toEqual([]);
    const twice: TerminalWiring = {
      ...wiring,
      doors: {
        ...wiring.doors,
        copy: doorWiringSchema.parse({
          strike: { kind: 'usb-relay', serial: 'QAAMZ', relay: 2 },
          contact: { chip, line: 17, active: 'high' },
        }),
      },
      indicators: { in: { buzzer: { chip, line: 22, active: 'high' } } },
    };
    expect(wiringConflicts(twice)).toEqual([
      { resource: `GPIO line 17 of ${chip}`, users: ['door front: strike', 'door copy: contact'] },
      { resource: `GPIO line 22 of ${chip}`, users: ['door front: contact', 'indicator in: buzzer'] },
      { resource: 'relay 2 of board QAAMZ', users: ['door side: strike', 'door copy: strike'] },
    ]);
    const otherChip = doorWiringSchema.parse({ strike: { kind: 'gpio', chip: 'pcf8574', line: 17 } });
    expect(wiringConflicts({ ...wiring, doors: { ...wiring.doors, otherChip } })).toEqual([]);
  });

  it.each([
    ['a relay beyond the eighth', { kind: 'usb-relay', serial: 'QAAMZ', relay: 9 }],
    ['relay 0', { kind: 'usb-relay', serial: 'QAAMZ', relay: 0 }],
    ['a serial of six characters', { kind: 'usb-relay', serial: 'QAAMZ1', relay: 1 }],
    ['an unknown key', { kind: 'gpio', chip, line: 1, colour: 'red' }],
    ['a negative line', { kind: 'gpio', chip, line: -1 }],
    ['no chip', { kind: 'gpio', line: 1 }],
    ['an unknown kind', { kind: 'simulated' }],
  ])('refuses %s', (_, strike) => {
    expect(doorWiringSchema.safeParse({ strike }).success).toBe(false);
  });

  it('wants the active level of an input said, as a wrong guess is a door that never alarms', () => {
    const strike = { kind: 'gpio', chip, line: 1 };
    expect(doorWiringSchema.safeParse({ strike, contact: { chip, line: 2 } }).success).toBe(false);
  });

  it('knows a keypad by the ids lsusb prints', () => {
    const keypad = { kind: 'usb-keypad', vendorId: '04d9', productId: 'a02a' };
    expect(pinPadWiringSchema.safeParse({ ...keypad, port: '1-1.2:1.0' }).success).toBe(true);
    expect(pinPadWiringSchema.safeParse({ ...keypad, port: 'left' }).success).toBe(false);
    expect(pinPadWiringSchema.safeParse({ ...keypad, vendorId: '0x04D9' }).success).toBe(false);
  });
});
