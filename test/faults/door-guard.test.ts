import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GuardedDoors } from '#adapters/process/guarded-doors.ts';
import { isFault } from '#core/fault.ts';
import type { DoorHardware } from '#ports/door.ts';
import { InputLog } from '../contracts/door-hardware.ts';
import { DoorProcess } from '../contracts/door-rigs.ts';

const terminalModule = fileURLToPath(new URL('./door-terminal.ts', import.meta.url));
const nowUs = (): number => Number(process.hrtime.bigint() / 1_000n);

let doors: DoorProcess;
beforeEach(async () => {
  doors = new DoorProcess();
  await doors.start();
});
afterEach(() => doors.stop());

/** Resolves when the relay is locked, with the moment at which the door's record saw it, in monotonic µs. */
async function lockedAtUs(): Promise<number> {
  await new Promise<void>((resolve) => {
    doors.person.line('front').watch((wires) => {
      if (wires.locked) resolve();
    });
  });
  return doors.record().findLast((seen) => seen.what === 'strike' && seen.locked)?.atUs ?? Number.NaN;
}

async function terminalWithOpenStrike(
  then: 'wait' | 'hang',
): Promise<{ child: ChildProcess; guardPid: number }> {
  const child = spawn(process.execPath, [terminalModule, JSON.stringify(doors.hardware()), then], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  expect(doors.locked()).toBe(false);
  return { child, guardPid: Number(said.toString()) };
}

describe('the terminal process', () => {
  it('killed with the strike unlocked: locked within 1 s, and the guard leaves', async () => {
    const { child, guardPid } = await terminalWithOpenStrike('wait');
    const killedUs = nowUs();
    child.kill('SIGKILL');
    expect((await lockedAtUs()) - killedUs).toBeLessThan(1_000_000);
    // the guard's connection to the door is the last thing of it to go
    await expect
      .poll(() => doors.record().findLast((seen) => seen.what === 'client' && !seen.connected))
      .toBeTruthy();
    await expect.poll(() => isRunning(guardPid)).toBe(false);
  });

  it('killed while the relay does not obey: the guard goes on until it does', async () => {
    const { child } = await terminalWithOpenStrike('wait');
    await doors.person.act('front', { act: 'misbehave', misbehaviour: { stuck: 'unlocked' } });
    child.kill('SIGKILL');
    const tried = () => doors.record().filter((seen) => seen.what === 'command' && seen.locked).length;
    await expect.poll(tried, { interval: 10 }).toBeGreaterThan(2);
    expect(doors.locked()).toBe(false);
    await doors.person.act('front', { act: 'misbehave', misbehaviour: {} });
    await lockedAtUs();
  });

  it('hung with the strike unlocked: locked within 2 s', async () => {
    const { child } = await terminalWithOpenStrike('hang');
    const hungUs = nowUs();
    expect((await lockedAtUs()) - hungUs).toBeLessThan(2_000_000);
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
});

describe('the guard process', () => {
  let guarded: GuardedDoors;
  let door: DoorHardware;
  let log: InputLog;
  beforeEach(async () => {
    guarded = new GuardedDoors({ parts: [doors.hardware()], doorIds: ['front'], readerIds: [] });
    await guarded.start();
    const offered = guarded.doors.get('front');
    if (!offered) throw new Error('the guard offers no door');
    door = offered;
    log = new InputLog();
    await door.start(log.take);
  });
  afterEach(() => guarded.stop());

  const guardPid = (): number => guarded.guardPid() ?? Number.NaN;

  it('killed with the strike unlocked: a fault, then another guard that begins by locking', async () => {
    await door.unlock(60_000);
    const killedUs = nowUs();
    process.kill(guardPid(), 'SIGKILL');
    await log.until((input) => input.kind === 'fault' && input.fault.code === 'door-process-lost');
    expect((await lockedAtUs()) - killedUs).toBeLessThan(1_000_000);
    await log.until((input) => input.kind === 'recovered');
    expect(log.count('fault')).toBe(1);
    await door.unlock(60_000);
    expect(doors.locked()).toBe(false);
  });

  it('stopped: a command to it fails as a fault of the process, and another guard locks', async () => {
    await door.unlock(60_000);
    process.kill(guardPid(), 'SIGSTOP');
    await expect(door.lock()).rejects.toSatisfy((error) => isFault(error, 'door-process-lost'));
    await lockedAtUs();
    await log.until((input) => input.kind === 'recovered');
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'signalled with %s: locks at once and stays in hand',
    async (signal) => {
      await door.unlock(60_000);
      const pid = guardPid();
      const seen = log.inputs.length;
      process.kill(pid, signal);
      await log.until((input) => input.kind === 'strike' && input.locked, seen);
      expect(doors.locked()).toBe(true);
      await door.unlock(60_000);
      expect(guardPid()).toBe(pid);
    },
  );

  it('let go: locks and leaves', async () => {
    await door.unlock(60_000);
    const pid = guardPid();
    await guarded.stop();
    expect(doors.locked()).toBe(true);
    expect(isRunning(pid)).toBe(false);
  });
});

it('a guard whose hardware module cannot be loaded is a fault of every door', async () => {
  const guarded = new GuardedDoors({
    parts: [{ module: '/nowhere/hardware.ts', options: {} }],
    doorIds: ['front'],
    readerIds: [],
  });
  await guarded.start();
  const log = new InputLog();
  await guarded.doors.get('front')?.start(log.take);
  await log.until((input) => input.kind === 'fault' && input.fault.code === 'door-process-lost');
  await guarded.stop();
});

it('a relay board that hangs is a fault of its own door: the guard goes on, and so do the others', async () => {
  const module = fileURLToPath(new URL('./hanging-board-hardware.ts', import.meta.url));
  const guarded = new GuardedDoors({
    parts: [doors.hardware(), { module, options: {} }],
    doorIds: ['front', 'cellar'],
    readerIds: [],
  });
  await guarded.start();
  const pid = guarded.guardPid();
  const [front, cellar] = [guarded.doors.get('front'), guarded.doors.get('cellar')];
  const logs = [new InputLog(), new InputLog()] as const;
  await Promise.all([front?.start(logs[0].take), cellar?.start(logs[1].take)]);
  expect(logs[1].inputs).toMatchObject([{ kind: 'fault', fault: { code: 'door-hardware-failed' } }]);
  await front?.unlock(60_000);
  await expect(cellar?.unlock(60_000)).rejects.toSatisfy((error) => isFault(error, 'door-hardware-failed'));
  await expect(cellar?.lock()).rejects.toSatisfy((error) => isFault(error, 'door-hardware-failed'));
  expect(doors.locked()).toBe(false);
  expect(guarded.guardPid()).toBe(pid);
  expect(logs[0].count('fault')).toBe(0);
  await guarded.stop();
});

/** Whether the process still runs; one that ended and waits to be reaped by init does not. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
