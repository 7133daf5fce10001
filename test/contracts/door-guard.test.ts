import { GuardedDoors } from '#adapters/process/guarded-doors.ts';
import { describeDoorHardware } from './door-hardware.ts';
import { DoorProcess } from './door-rigs.ts';

describeDoorHardware('simulator behind the guard process', async () => {
  const doors = new DoorProcess();
  await doors.start();
  const guarded = new GuardedDoors({ parts: [doors.hardware()], doorIds: ['front'], readerIds: [] });
  await guarded.start();
  const hardware = guarded.doors.get('front');
  if (!hardware) throw new Error('the guard offers no door');
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
      await guarded.stop();
      await doors.stop();
    },
  };
});
