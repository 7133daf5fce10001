import { describe, expect, it } from 'vitest';
import { ServiceNotifier } from '#adapters/systemd/notify.ts';
import { lockDoors } from '#cli/door-lock.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { SimulatedDoor } from '#simulators/door/simulated-door.ts';
import { SimulatedDoorHardware } from '#simulators/door/simulated-hardware.ts';

describe('telling systemd', () => {
  function build(environment: Record<string, string>) {
    const clock = new SimulatedClock({ utcMs: 0 });
    const sent: string[][] = [];
    const failures: unknown[] = [];
    let refuse = false;
    const notifier = new ServiceNotifier({
      clock,
      environment,
      processId: 42,
      run: async (notifications) => {
        if (refuse) throw new Error('no manager');
        sent.push([...notifications]);
      },
      onFailure: (error) => failures.push(error),
    });
    return { clock, sent, failures, notifier, refuse: () => (refuse = true) };
  }
  const service = { NOTIFY_SOCKET: '/run/systemd/notify', WATCHDOG_USEC: '15000000', WATCHDOG_PID: '42' };

  it('sends readiness with a status on one line, then that it stops', async () => {
    const { sent, notifier } = build(service);
    await notifier.ready('2 doors\nlocked');
    await notifier.stopping();
    expect(sent).toEqual([['--ready', '--status=2 doors locked'], ['STOPPING=1']]);
  });

  it('feeds the watchdog three times within its limit, however often it is called, and not by itself', async () => {
    const { clock, sent, notifier } = build(service);
    for (let second = 0; second < 30; second += 1) {
      notifier.feed();
      await clock.advanceAsync(1_000);
    }
    expect(sent).toHaveLength(6);
    await clock.advanceAsync(60_000);
    expect(sent).toHaveLength(6);
  });

  it.each([
    ['outside systemd', {}],
    ['with the watchdog of another process', { ...service, WATCHDOG_PID: '41' }],
    ['without a watchdog', { NOTIFY_SOCKET: '/run/systemd/notify' }],
  ])('feeds nothing %s', async (_, environment) => {
    const { clock, sent, notifier } = build(environment);
    notifier.feed();
    await clock.advanceAsync(10_000);
    expect(sent).toEqual([]);
  });

  it('has a start waited for while its work lasts, and no longer', async () => {
    const { clock, sent, notifier } = build(service);
    const work = Promise.withResolvers<void>();
    const done = notifier.extendStart(work.promise);
    await clock.advanceAsync(89_000);
    expect(sent).toEqual(Array(3).fill(['EXTEND_TIMEOUT_USEC=120000000']));
    work.reject(new Error('no disk'));
    await done;
    await clock.advanceAsync(120_000);
    expect(sent).toHaveLength(3);
  });

  it('extends nothing once the service is ready: that would hold up its watchdog', async () => {
    const { clock, sent, notifier } = build(service);
    void notifier.extendStart(new Promise(() => undefined));
    await notifier.ready('2 doors');
    await clock.advanceAsync(120_000);
    void notifier.extendStart(new Promise(() => undefined));
    await clock.advanceAsync(120_000);
    expect(sent.map(([first]) => first)).toEqual(['EXTEND_TIMEOUT_USEC=120000000', '--ready']);
  });

  it('tells of a lost message and goes on', async () => {
    const { failures, notifier, refuse } = build(service);
    refuse();
    await notifier.status('working');
    expect(failures).toHaveLength(1);
  });
});

describe('door lock', () => {
  function hardware(id: string, misbehaviour: Parameters<SimulatedDoor['misbehave']>[0]) {
    const clock = new SimulatedClock({ utcMs: 0 });
    const door = new SimulatedDoor({ id, clock, record: () => undefined });
    const after = (ms: number, action: () => void) => clock.after(ms, action);
    return { clock, door, misbehaviour, hardware: new SimulatedDoorHardware({ line: door, after }) };
  }

  it('locks what was left unlocked, and says which strike did not obey', async () => {
    const left = hardware('left', {});
    const stuck = hardware('stuck', { stuck: 'unlocked' });
    for (const { door, misbehaviour } of [left, stuck]) {
      await door.set(false);
      door.misbehave(misbehaviour);
    }
    const results = await lockDoors(
      new Map([
        ['left', left.hardware],
        ['stuck', stuck.hardware],
      ]),
      50,
    );
    expect(left.door.wires().locked).toBe(true);
    expect(results).toEqual([
      { door: 'left', locked: true },
      { door: 'stuck', locked: false, fault: expect.objectContaining({ code: 'door-hardware-failed' }) },
    ]);
  });
});
