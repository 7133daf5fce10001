import { expect, it } from 'vitest';
import { GpioIndicator } from '#adapters/gpio/gpio-indicator.ts';
import { GuardedDoors } from '#adapters/process/guarded-doors.ts';
import type { IndicatorWiring } from '#core/access/door-wiring.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { DoorClient } from '#simulators/door/door-client.ts';
import type { DoorWires } from '#simulators/door/simulated-door.ts';
import { DoorProcess } from './door-rigs.ts';
import { FakeGpioChip, type FakeInterface, sysfsOf } from './fake-gpio.ts';
import { characterDeviceOf } from './fake-gpio-devices.ts';
import { describeIndicator, perceptionOf } from './indicator.ts';

const chip = FakeGpioChip.label;
const lines = { granted: 5, denied: 6, busy: 7, buzzer: 8 };

function wire(active: 'high' | 'low'): IndicatorWiring {
  return Object.fromEntries(Object.entries(lines).map(([name, line]) => [name, { chip, line, active }]));
}

const interfaces: readonly (readonly [string, (chip: FakeGpioChip) => FakeInterface])[] = [
  ['sysfs', sysfsOf],
  ['character device', characterDeviceOf],
];

function build(active: 'high' | 'low', interfaceOf: (chip: FakeGpioChip) => FakeInterface) {
  const fake = new FakeGpioChip();
  const face = interfaceOf(fake);
  const clock = new SimulatedClock({ utcMs: 0 });
  const indicator = new GpioIndicator({
    wiring: wire(active),
    lines: face.lines,
    after: (ms, action) => clock.after(ms, action),
  });
  return { fake, face, clock, indicator };
}

for (const [name, interfaceOf] of interfaces) {
  for (const active of ['high', 'low'] as const) {
    describeIndicator(`GPIO by ${name}, active ${active}`, async () => {
      const { fake, face, clock, indicator } = build(active, interfaceOf);
      const level = (line: number) => fake.level(line);
      return {
        indicator,
        perceive: perceptionOf({ lines: Object.values(lines), active, level, clock }),
        cut: () => {
          fake.present = false;
        },
        repair: () => {
          fake.present = true;
        },
        close: async () => face.remove(),
      };
    });
  }
}

it('tells grant, denial and alarm apart without colour: by rhythm or sound alone', () => {
  const { fake, face, clock, indicator } = build('high', sysfsOf);
  const frames = (indication: 'granted' | 'denied' | 'alarm'): string => {
    indicator.show(indication);
    let heard = '';
    for (let passed = 0; passed < 2_000; passed += 10) {
      heard += fake.level(lines.buzzer);
      clock.advance(10);
    }
    return heard;
  };
  expect(new Set([frames('granted'), frames('denied'), frames('alarm')]).size).toBe(3);
  face.remove();
});

/** What a simulated door process recorded of its reader, read once everything sent before has arrived. */
async function shown(doors: DoorProcess, sent: () => Promise<unknown>): Promise<string> {
  await sent();
  return doors.record().findLast((seen) => seen.what === 'indication')?.indication ?? 'nothing';
}

describeIndicator('simulator in a process of its own', async () => {
  const doors = new DoorProcess();
  await doors.start();
  const client = new DoorClient(doors.socketPath);
  return {
    indicator: { show: (indication) => client.show('front', 'reader', indication) },
    perceive: () => shown(doors, () => client.act('front', { act: 'close' })),
    cut: () => client.act('front', { act: 'misbehave', misbehaviour: { lineGone: true } }),
    repair: () => client.act('front', { act: 'misbehave', misbehaviour: {} }),
    close: async () => {
      client.close();
      await doors.stop();
    },
  };
});

describeIndicator('simulator behind the guard process', async () => {
  const doors = new DoorProcess();
  await doors.start();
  const guarded = new GuardedDoors({
    parts: [doors.hardware({ reader: 'front' })],
    doorIds: ['front'],
    readerIds: ['reader'],
  });
  await guarded.start();
  const door = guarded.doors.get('front');
  const indicator = guarded.indicators.get('reader');
  if (!door || !indicator) throw new Error('the guard offers no door or no indicator');
  await door.start(() => undefined);
  return {
    indicator,
    // a command after the indication on the same channels: its answer says that both have arrived
    perceive: () => shown(doors, () => door.lock()),
    cut: async () => {
      const away = new Promise<void>((resolve) => {
        doors.person.line('front').watch((wires: DoorWires) => {
          if (!wires.present) resolve();
        });
      });
      await doors.person.act('front', { act: 'misbehave', misbehaviour: { lineGone: true } });
      await away;
    },
    repair: () => doors.person.act('front', { act: 'misbehave', misbehaviour: {} }),
    close: async () => {
      await guarded.stop();
      await doors.stop();
    },
  };
});
