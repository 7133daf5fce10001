import type { After } from '#core/access/strike-keeper.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { DoorClient } from '#simulators/door/door-client.ts';
import { SimulatedDoor } from '#simulators/door/simulated-door.ts';
import { SimulatedDoorHardware } from '#simulators/door/simulated-hardware.ts';
import { describeDoorHardware } from './door-hardware.ts';
import { DoorProcess } from './door-rigs.ts';

describeDoorHardware('simulator in the same process', async () => {
  const clock = new SimulatedClock({ utcMs: 0 });
  const door = new SimulatedDoor({ id: 'front', clock, record: () => undefined });
  const after: After = (delayMs, action) => clock.after(delayMs, action);
  return {
    hardware: new SimulatedDoorHardware({ line: door, after }),
    locked: () => door.wires().locked,
    setContact: (open) => (open ? door.force() : door.close()),
    pressExit: (pressed) => door.pressExit(pressed),
    tamper: (active) => door.tamper(active),
    obstruct: (active) => door.obstruct(active),
    pass: (active) => door.pass(active),
    cut: () => door.misbehave({ lineGone: true }),
    repair: () => door.misbehave({}),
    readWrong: (wrong) => door.misbehave({ readBackWrong: wrong }),
    passTime: (ms) => clock.advanceAsync(ms),
    pending: () => clock.pending(),
    close: async () => undefined,
  };
});

describeDoorHardware('simulator in a process of its own', async () => {
  const doors = new DoorProcess();
  await doors.start();
  const driver = new DoorClient(doors.socketPath);
  const after: After = (delayMs, action) => {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  };
  const hardware = new SimulatedDoorHardware({ line: driver.line('front'), after });
  return {
    hardware,
    locked: () => doors.locked(),
    setContact: (open) => doors.person.act('front', open ? { act: 'force' } : { act: 'close' }),
    pressExit: (pressed) => doors.person.act('front', { act: 'press-exit', pressed }),
    tamper: (active) => doors.person.act('front', { act: 'tamper', active }),
    obstruct: (active) => doors.person.act('front', { act: 'obstruct', active }),
    pass: (active) => doors.person.act('front', { act: 'pass', active }),
    cut: () => doors.person.act('front', { act: 'misbehave', misbehaviour: { lineGone: true } }),
    repair: () => doors.person.act('front', { act: 'misbehave', misbehaviour: {} }),
    readWrong: (wrong) =>
      doors.person.act('front', { act: 'misbehave', misbehaviour: { readBackWrong: wrong } }),
    close: async () => {
      await hardware.stop();
      driver.close();
      await doors.stop();
    },
  };
});
