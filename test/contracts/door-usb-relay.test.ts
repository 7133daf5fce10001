import { describe, expect, it } from 'vitest';
import { UsbRelayBoard } from '#adapters/hid/usb-relay-board.ts';
import { UsbRelayDoor } from '#adapters/hid/usb-relay-door.ts';
import { JoinedDoor } from '#adapters/process/joined-door.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { SimulatedDoor } from '#simulators/door/simulated-door.ts';
import { SimulatedDoorHardware } from '#simulators/door/simulated-hardware.ts';
import { describeDoorHardware, InputLog } from './door-hardware.ts';
import { busOf, FakeRelayBoard } from './fake-relay-board.ts';

function build(lockType: 'fail-secure' | 'fail-safe', relay = 2) {
  const other = new FakeRelayBoard('OTHER');
  const ours = new FakeRelayBoard('QAAMZ');
  const clock = new SimulatedClock({ utcMs: 0 });
  const after = (ms: number, action: () => void) => clock.after(ms, action);
  const board = new UsbRelayBoard({ hid: busOf([other, ours]), serial: 'QAAMZ', after });
  const hardware = new UsbRelayDoor({
    wiring: { kind: 'usb-relay', serial: 'QAAMZ', relay, lockType },
    board,
    after,
  });
  return { other, ours, clock, after, board, hardware };
}

for (const lockType of ['fail-secure', 'fail-safe'] as const) {
  describeDoorHardware(`USB relay, ${lockType}`, async () => {
    const { other, ours, clock, hardware } = build(lockType);
    other.state = 0b1010;
    return {
      hardware,
      locked: () => ((ours.state & 0b10) !== 0) === (lockType === 'fail-safe'),
      cut: () => ours.unplug(),
      repair: () => {
        ours.plugged = true;
      },
      readWrong: (wrong) => {
        ours.readWrong = wrong;
      },
      passTime: (ms) => clock.advanceAsync(ms),
      pending: () => clock.pending(),
      close: async () => {
        expect(other.state).toBe(0b1010);
        expect(other.openHandles).toBe(0);
      },
    };
  });
}

it('writes on as FF and off as FD with the number of the relay, in nine bytes', async () => {
  const { ours, hardware } = build('fail-secure', 2);
  await hardware.start(() => undefined);
  await hardware.unlock(5_000);
  expect(ours.written).toEqual([
    [0, 0xfd, 2, 0, 0, 0, 0, 0, 0],
    [0, 0xff, 2, 0, 0, 0, 0, 0, 0],
  ]);
  await hardware.stop();
});

it('leaves the other relays of its board alone', async () => {
  const { ours, hardware } = build('fail-secure', 2);
  ours.state = 0b101;
  await hardware.start(() => undefined);
  await hardware.unlock(5_000);
  expect(ours.state).toBe(0b111);
  await hardware.lock();
  expect(ours.state).toBe(0b101);
  await hardware.stop();
});

it('two doors on one board do not mix their commands', async () => {
  const { ours, after, board, hardware } = build('fail-secure', 1);
  const second = new UsbRelayDoor({
    wiring: { kind: 'usb-relay', serial: 'QAAMZ', relay: 2, lockType: 'fail-secure' },
    board,
    after,
  });
  await Promise.all([hardware.start(() => undefined), second.start(() => undefined)]);
  await Promise.allSettled([hardware.unlock(5_000), second.unlock(5_000), hardware.lock()]);
  expect(ours.state).toBe(0b10);
  await Promise.all([hardware.stop(), second.stop()]);
  expect(ours.state).toBe(0);
});

it('notices an unplugged board without a command, and a relay that dropped by itself', async () => {
  const { ours, clock, hardware } = build('fail-secure');
  const log = new InputLog();
  await hardware.start(log.take);
  await hardware.unlock(60_000);
  ours.state = 0;
  await clock.advanceAsync(1_000);
  expect(log.inputs.at(-1)).toEqual({ kind: 'strike', locked: true });
  ours.unplug();
  await clock.advanceAsync(1_000);
  expect(log.inputs.at(-1)).toMatchObject({ kind: 'fault', fault: { code: 'door-hardware-absent' } });
  expect(ours.openHandles).toBe(0);
  await hardware.stop();
});

it('holds one handle however often the board is unplugged', async () => {
  const { ours, other, clock, hardware } = build('fail-secure');
  await hardware.start(() => undefined);
  for (let plugged = 0; plugged < 20; plugged += 1) {
    ours.unplug();
    await clock.advanceAsync(1_500);
    ours.plugged = true;
    await clock.advanceAsync(1_500);
  }
  expect(ours.openHandles).toBe(1);
  expect(other.openHandles).toBe(0);
  await hardware.stop();
});

describe('a relay board that is plugged in and does not answer', () => {
  const isOn = (report: readonly number[]): boolean => report[1] === 0xff;

  /** A locked door whose board has begun to hang, and a poll that waits for it. */
  async function hanging() {
    const rig = build('fail-secure');
    const log = new InputLog();
    await rig.hardware.start(log.take);
    rig.ours.hang();
    await rig.clock.advanceAsync(1_000);
    expect(rig.ours.unanswered).toBe(1);
    return { ...rig, log };
  }

  it('fails every command within 1 s, and is one fault of its door', async () => {
    const { clock, hardware, log } = await hanging();
    const commands = [
      hardware.unlock(60_000),
      hardware.lock(),
      hardware.unlock(60_000),
      hardware.unlock(60_000),
    ];
    const failed = expect(Promise.allSettled(commands)).resolves.toMatchObject(
      commands.map(() => ({ reason: { code: 'door-hardware-failed' } })),
    );
    await clock.advanceAsync(999);
    await failed;
    await clock.advanceAsync(60_000);
    expect(log.inputs.filter(({ kind }) => kind === 'fault')).toMatchObject([
      { fault: { code: 'door-hardware-failed', message: 'relay board QAAMZ hangs' } },
    ]);
  });

  it('is not unlocked, once it answers, by a command that was told to have failed, and is locked at once', async () => {
    const { ours, clock, hardware, log } = await hanging();
    const unlock = expect(hardware.unlock(60_000)).rejects.toMatchObject({ code: 'door-hardware-failed' });
    await clock.advanceAsync(4_000);
    await unlock;
    ours.written.length = 0;
    ours.wake();
    await clock.advanceAsync(250);
    expect(ours.written).toEqual([[0, 0xfd, 2, 0, 0, 0, 0, 0, 0]]);
    expect(log.inputs.slice(-2)).toEqual([{ kind: 'recovered' }, { kind: 'strike', locked: true }]);
    await hardware.unlock(60_000);
    expect(ours.state).toBe(0b10);
    await hardware.stop();
  });

  it('is asked nothing more for a command that was told to have failed', async () => {
    const { ours, clock, hardware } = await hanging();
    const unlock = expect(hardware.unlock(60_000)).rejects.toMatchObject({ code: 'door-hardware-failed' });
    await clock.advanceAsync(4_000);
    await unlock;
    ours.timeOut();
    await clock.advanceAsync(1);
    expect(ours.unanswered).toBe(0);
    await clock.advanceAsync(250);
    expect(ours.unanswered).toBe(1);
  });

  it('that takes an unlocking too late is locked after it', async () => {
    const { ours, clock, hardware } = build('fail-secure');
    await hardware.start(() => undefined);
    ours.hang();
    const unlock = expect(hardware.unlock(60_000)).rejects.toMatchObject({ code: 'door-hardware-failed' });
    await clock.advanceAsync(4_000);
    await unlock;
    ours.wake();
    await clock.advanceAsync(250);
    expect(ours.written.map(isOn)).toEqual([false, true, false]);
    expect(ours.state).toBe(0);
    await hardware.stop();
  });

  it('has one transfer outstanding and one handle open however long it hangs, and serves when it answers', async () => {
    const { ours, other, clock, hardware, log } = await hanging();
    for (let time = 0; time < 20; time += 1) {
      void hardware.unlock(60_000).catch(() => undefined);
      await clock.advanceAsync(5_000);
      expect(ours.unanswered).toBe(1);
      expect(ours.openHandles).toBe(1);
      ours.timeOut();
    }
    expect(log.count('fault')).toBe(1);
    ours.wake();
    await clock.advanceAsync(1_000);
    expect(log.inputs.slice(-2)).toEqual([{ kind: 'recovered' }, { kind: 'strike', locked: true }]);
    expect(ours.written.filter(isOn)).toEqual([]);
    expect(other.openHandles).toBe(0);
    await hardware.stop();
  });

  it('lets no unlocking through that waited while another was looked for', async () => {
    const { ours, other, clock, hardware } = build('fail-secure');
    await hardware.start(() => undefined);
    ours.unplug();
    await expect(hardware.unlock(60_000)).rejects.toMatchObject({ code: 'door-hardware-absent' });
    ours.plugged = true;
    other.hang();
    const unlock = expect(hardware.unlock(60_000)).rejects.toMatchObject({ code: 'door-hardware-failed' });
    await clock.advanceAsync(4_000);
    await unlock;
    other.timeOut();
    await clock.advanceAsync(250);
    expect(ours.written.map(isOn)).toEqual([false, false]);
    await hardware.stop();
  });

  it('delays another that is being looked for, and keeps no door from having been started within 1 s', async () => {
    const { ours, other, clock, hardware } = build('fail-secure');
    const log = new InputLog();
    other.hang();
    const started = hardware.start(log.take);
    await clock.advanceAsync(999);
    await started;
    expect(log.inputs).toMatchObject([{ kind: 'fault', fault: { code: 'door-hardware-failed' } }]);
    await clock.advanceAsync(4_000);
    other.timeOut();
    await clock.advanceAsync(250);
    expect(log.inputs.slice(-2)).toEqual([{ kind: 'recovered' }, { kind: 'strike', locked: true }]);
    expect([other.openHandles, ours.openHandles]).toEqual([0, 1]);
    await hardware.stop();
  });
});

describeDoorHardware('strike on a USB relay joined with inputs on other hardware', async () => {
  const { ours, clock, after, hardware } = build('fail-secure');
  const elsewhere = new SimulatedDoor({ id: 'inputs', clock, record: () => undefined });
  // inputs only: this part has no strike to drive or to read
  const inputs = new SimulatedDoorHardware({ line: elsewhere, after });
  const part = {
    start: (onInput: Parameters<typeof inputs.start>[0]) =>
      inputs.start((input) => {
        if (input.kind !== 'strike') onInput(input);
      }),
    unlock: async () => undefined,
    lock: async () => undefined,
    stop: () => inputs.stop(),
  };
  return {
    hardware: new JoinedDoor([hardware, part]),
    locked: () => (ours.state & 0b10) === 0,
    setContact: (open) => (open ? elsewhere.force() : elsewhere.close()),
    pressExit: (pressed) => elsewhere.pressExit(pressed),
    tamper: (active) => elsewhere.tamper(active),
    cut: () => ours.unplug(),
    repair: () => {
      ours.plugged = true;
    },
    readWrong: (wrong) => {
      ours.readWrong = wrong;
    },
    passTime: (ms) => clock.advanceAsync(ms),
    pending: () => clock.pending(),
    close: async () => undefined,
  };
});
