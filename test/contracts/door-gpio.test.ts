import { describe, expect, it } from 'vitest';
import { GpioDoor } from '#adapters/gpio/gpio-door.ts';
import type { GpioDoorWiring } from '#core/access/door-wiring.ts';
import type { DoorInput } from '#ports/door.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { describeDoorHardware, InputLog, strikeWirings } from './door-hardware.ts';
import { FakeGpioChip, type FakeInterface, sysfsOf } from './fake-gpio.ts';
import { characterDeviceOf } from './fake-gpio-devices.ts';

const chip = FakeGpioChip.label;
const strikeLine = 17;

function wire(active: 'high' | 'low', lockType: 'fail-secure' | 'fail-safe'): GpioDoorWiring {
  return {
    strike: { kind: 'gpio', chip, line: strikeLine, active, lockType },
    contact: { chip, line: 22, active: 'high', debounceMs: 30 },
    exitRequest: { chip, line: 23, active: 'low', debounceMs: 20 },
    tamper: { chip, line: 24, active: 'high', debounceMs: 50 },
    obstruction: { chip, line: 25, active: 'high', debounceMs: 30 },
    passage: { chip, line: 26, active: 'high', debounceMs: 30 },
  };
}

function build<Face extends FakeInterface>(
  interfaceOf: (chip: FakeGpioChip) => Face,
  wiring = wire('high', 'fail-secure'),
) {
  const fake = new FakeGpioChip();
  fake.drive(22, 0);
  fake.drive(23, 1);
  const clock = new SimulatedClock({ utcMs: 0 });
  const face = interfaceOf(fake);
  const hardware = new GpioDoor({
    wiring,
    lines: face.lines,
    after: (ms, action) => clock.after(ms, action),
  });
  return { fake, clock, hardware, face };
}

const interfaces: readonly (readonly [string, (chip: FakeGpioChip) => FakeInterface])[] = [
  ['sysfs', sysfsOf],
  ['character device', characterDeviceOf],
];

for (const [name, interfaceOf] of interfaces) {
  for (const [active, lockType, lockedLevel] of strikeWirings) {
    describeDoorHardware(`GPIO by ${name}, active ${active}, ${lockType}`, async () => {
      const { fake, clock, hardware, face } = build(interfaceOf, wire(active, lockType));
      return {
        hardware,
        locked: () => fake.level(strikeLine) === lockedLevel,
        setContact: (open) => fake.drive(22, open ? 1 : 0),
        pressExit: (pressed) => fake.drive(23, pressed ? 0 : 1),
        tamper: (tampered) => fake.drive(24, tampered ? 1 : 0),
        obstruct: (active) => fake.drive(25, active ? 1 : 0),
        pass: (active) => fake.drive(26, active ? 1 : 0),
        cut: () => {
          fake.present = false;
        },
        repair: () => {
          fake.present = true;
        },
        readWrong: (wrong) => {
          fake.readWrong = wrong;
        },
        passTime: (ms) => clock.advanceAsync(ms),
        pending: () => clock.pending(),
        close: async () => face.remove(),
      };
    });

    it(`GPIO by ${name}, active ${active}, ${lockType}: the line is taken in its locked level and never given back`, async () => {
      const { fake, clock, hardware, face } = build(interfaceOf, wire(active, lockType));
      await hardware.start(() => undefined);
      await hardware.unlock(100);
      await clock.advanceAsync(200);
      await hardware.stop();
      const strike = fake.driven.filter(({ line }) => line === strikeLine);
      expect(strike[0]).toMatchObject({ what: 'taken', level: lockedLevel });
      expect(strike.filter(({ what }) => what === 'given back')).toEqual([]);
      const unlocked = strike.filter((done) => 'level' in done && done.level !== lockedLevel);
      expect(unlocked).toHaveLength(1);
      expect(strike.at(-1)).toMatchObject({ what: 'written', level: lockedLevel });
      face.remove();
    });
  }

  describe(`GPIO inputs by ${name}`, () => {
    it('count a level only once it has lasted', async () => {
      const { fake, clock, hardware, face } = build(interfaceOf);
      const log = new InputLog();
      await hardware.start(log.take);
      await clock.advanceAsync(100);
      const seen = log.inputs.length;
      for (let bounce = 0; bounce < 10; bounce += 1) {
        fake.drive(22, bounce % 2 === 0 ? 1 : 0);
        await clock.advanceAsync(10);
      }
      fake.drive(22, 1);
      await clock.advanceAsync(29);
      expect(log.inputs.length).toBe(seen);
      await clock.advanceAsync(1);
      expect(log.inputs.slice(seen)).toEqual([{ kind: 'contact', open: true }]);
      await hardware.stop();
      face.remove();
    });

    it('show in a poll what an edge did not', async () => {
      const { fake, clock, hardware, face } = build(interfaceOf);
      const log = new InputLog();
      await hardware.start(log.take);
      await clock.advanceAsync(100);
      const seen = log.inputs.length;
      fake.driveUnseen(22, 1);
      await clock.advanceAsync(1_100);
      expect(log.inputs.slice(seen)).toEqual([{ kind: 'contact', open: true }]);
      await hardware.stop();
      face.remove();
    });

    it('of a chip that is lost are reported anew when it is back', async () => {
      const { fake, clock, hardware, face } = build(interfaceOf);
      const log = new InputLog();
      await hardware.start(log.take);
      fake.present = false;
      await clock.advanceAsync(1_000);
      expect(log.inputs.at(-1)).toMatchObject({ kind: 'fault', fault: { code: 'door-hardware-absent' } });
      const seen = log.inputs.length;
      fake.driveUnseen(22, 1);
      fake.present = true;
      await clock.advanceAsync(1_100);
      expect(log.inputs.slice(seen)).toContainEqual({ kind: 'contact', open: true });
      expect(log.inputs.slice(seen)).toContainEqual({ kind: 'recovered' });
      await hardware.stop();
      face.remove();
    });
  });

  describe(`a freshly opened GPIO input by ${name}`, () => {
    const tampered = { kind: 'tamper', active: true };

    it('tells of no level that has not lasted, at the start and when its chip is back', async () => {
      const { fake, clock, hardware, face } = build(interfaceOf);
      const log = new InputLog();
      fake.drive(24, 1);
      await hardware.start(log.take);
      await clock.advanceAsync(10);
      fake.drive(24, 0);
      await clock.advanceAsync(100);
      fake.present = false;
      await clock.advanceAsync(1_000);
      const seen = log.inputs.length;
      fake.driveUnseen(24, 1);
      fake.present = true;
      while (!log.inputs.slice(seen).some(({ kind }) => kind === 'recovered')) await clock.advanceAsync(1);
      await clock.advanceAsync(10);
      fake.drive(24, 0);
      await clock.advanceAsync(1_000);
      expect(log.inputs).not.toContainEqual(tampered);
      expect(log.inputs.slice(seen)).toContainEqual({ kind: 'tamper', active: false });
      await hardware.stop();
      face.remove();
    });

    it('tells of one that has, however often the strike moves and the line is looked at meanwhile', async () => {
      const wiring = wire('high', 'fail-secure');
      const { fake, clock, hardware, face } = build(interfaceOf, {
        ...wiring,
        tamper: { chip, line: 24, active: 'high', debounceMs: 1_000 },
      });
      const log = new InputLog();
      fake.drive(24, 1);
      await hardware.start(log.take);
      for (let time = 0; time < 9; time += 1) {
        await clock.advanceAsync(111);
        await hardware.unlock(60_000);
      }
      expect(log.inputs).not.toContainEqual(tampered);
      await clock.advanceAsync(1);
      expect(log.inputs).toContainEqual(tampered);
      await hardware.stop();
      face.remove();
    });
  });

  describe(`a GPIO line by ${name}`, () => {
    it.each([
      ['another chip', { chip: 'pinctrl-other', line: 17 }],
      ['an offset the chip does not have', { chip, line: 64 }],
    ])('of %s is a fault of the door, whose inputs are heard all the same', async (_, at) => {
      const { clock, hardware, face } = build(interfaceOf, {
        ...wire('high', 'fail-secure'),
        strike: { kind: 'gpio', active: 'high', lockType: 'fail-secure', ...at },
      });
      const log = new InputLog();
      await hardware.start(log.take);
      await clock.advanceAsync(100);
      const faults = log.inputs.filter(({ kind }) => kind === 'fault');
      expect(faults).toMatchObject([{ fault: { code: 'door-hardware-absent' } }]);
      expect(log.inputs).toContainEqual({ kind: 'exit-request', pressed: false });
      await hardware.stop();
      face.remove();
    });

    it('that moves by itself is reported and locked again', async () => {
      const { fake, clock, hardware, face } = build(interfaceOf);
      const log = new InputLog();
      await hardware.start(log.take);
      await clock.advanceAsync(100);
      fake.driveUnseen(strikeLine, 1);
      const seen = log.inputs.length;
      await clock.advanceAsync(1_000);
      expect(log.inputs.slice(seen)).toEqual([
        { kind: 'strike', locked: false },
        { kind: 'strike', locked: true },
      ]);
      expect(fake.level(strikeLine)).toBe(0);
      await hardware.stop();
      face.remove();
    });
  });

  it(`a GPIO door by ${name} that has lost one input hears the exit request and unlocks, and is well again once that input is back`, async () => {
    const { fake, clock, hardware, face } = build(interfaceOf, {
      ...wire('high', 'fail-secure'),
      contact: { chip, line: 40, active: 'high', debounceMs: 30 },
    });
    fake.lose(40, true);
    const seen: DoorInput[] = [];
    await hardware.start((input) => seen.push(input));
    await clock.advanceAsync(3_000);
    expect(seen.filter(({ kind }) => kind === 'fault')).toHaveLength(1);
    fake.drive(23, 0);
    await clock.advanceAsync(100);
    expect(seen).toContainEqual({ kind: 'exit-request', pressed: true });
    await hardware.unlock(60_000);
    expect(fake.level(strikeLine)).toBe(1);
    fake.lose(40, false);
    fake.drive(40, 1);
    await clock.advanceAsync(1_100);
    expect(seen).toContainEqual({ kind: 'contact', open: true });
    expect(seen).toContainEqual({ kind: 'recovered', strikeKept: true });
    expect(fake.level(strikeLine)).toBe(1);
    await hardware.stop();
    face.remove();
  });
}

it('a line of sysfs that the udev rules have not opened to this user says so', () => {
  const fake = new FakeGpioChip();
  const face = sysfsOf(fake);
  fake.closedToUser = true;
  expect(() => face.lines.output({ chip, line: strikeLine }, 0)).toThrow(
    `GPIO line ${strikeLine} of ${chip} is closed to this user`,
  );
  face.remove();
});

describe('a line of a character device', () => {
  it('that another program holds is a fault that says so, until that program lets go', async () => {
    const { clock, hardware, face } = build(characterDeviceOf);
    face.devices.heldElsewhere.add(strikeLine);
    const log = new InputLog();
    await hardware.start(log.take);
    expect(log.inputs).toContainEqual({
      kind: 'fault',
      fault: {
        code: 'door-hardware-absent',
        message: `GPIO line ${strikeLine} of ${chip} is held by another program or driver`,
      },
    });
    face.devices.heldElsewhere.clear();
    await clock.advanceAsync(1_000);
    expect(log.inputs.slice(-2)).toEqual([{ kind: 'recovered' }, { kind: 'strike', locked: true }]);
  });

  it('of a chip that this user may not open is a fault that says so', async () => {
    const { fake, hardware } = build(characterDeviceOf);
    fake.closedToUser = true;
    const log = new InputLog();
    await hardware.start(log.take);
    expect(log.inputs).toContainEqual({
      kind: 'fault',
      fault: {
        code: 'door-hardware-absent',
        message: `there is no GPIO chip ${chip} that this user may open`,
      },
    });
  });

  it('leaves no file descriptor behind, however often its chip goes and comes', async () => {
    const { fake, clock, hardware, face } = build(characterDeviceOf);
    await hardware.start(() => undefined);
    const atStart = face.devices.openFds;
    for (let time = 0; time < 5; time += 1) {
      fake.present = false;
      await clock.advanceAsync(3_000);
      fake.present = true;
      await clock.advanceAsync(3_000);
    }
    expect(face.devices.openFds).toBe(atStart);
  });
});
