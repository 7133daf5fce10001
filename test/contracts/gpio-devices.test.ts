import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openHardware } from '#adapters/gpio/gpio-hardware.ts';
import { linuxGpioDevices } from '#adapters/gpio/linux-gpio-devices.ts';
import { InputLog } from './door-hardware.ts';

// <asm-generic/ioctls.h>
const bytesReadable = 0x541b;
const terminalNumber = 0x80045430;
const terminalLock = 0x40045431;

/** A FIFO, which tells of what can be read as a line does of its edges. */
async function openFifo(): Promise<{ fd: number; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'kazasu-fifo-'));
  execFileSync('mkfifo', [join(folder, 'fifo')]);
  const fd = openSync(join(folder, 'fifo'), 'r+');
  return {
    fd,
    remove: async () => {
      closeSync(fd);
      await rm(folder, { recursive: true });
    },
  };
}

/** Resolves once a change of `fd` made here was told: what was to be told before has been. */
async function tellOnce(fd: number): Promise<void> {
  let stop = (): void => undefined;
  const told = new Promise<void>((resolve) => {
    stop = linuxGpioDevices.watch(fd, resolve);
  });
  writeSync(fd, new Uint8Array(48));
  await told;
  stop();
}

describe('the devices of Linux', () => {
  it('are spoken to in place: what the kernel writes is in the bytes given', async () => {
    const { fd, remove } = await openFifo();
    writeSync(fd, 'seven b');
    const answer = new Uint8Array(8);
    linuxGpioDevices.ioctl(fd, bytesReadable, answer.subarray(4));
    expect([...answer]).toEqual([0, 0, 0, 0, 7, 0, 0, 0]);
    await remove();
  });

  it('answer with the name of the error', () => {
    const fd = linuxGpioDevices.open('/dev/null');
    expect(() => linuxGpioDevices.ioctl(fd, 0x8044b401, new Uint8Array(68))).toThrow(
      expect.objectContaining({ code: 'ENOTTY' }),
    );
    linuxGpioDevices.close(fd);
    expect(() => linuxGpioDevices.ioctl(fd, 0x8044b401, new Uint8Array(68))).toThrow(
      expect.objectContaining({ code: 'EBADF' }),
    );
  });

  it('tell of each change until they are watched no more', async () => {
    const { fd, remove } = await openFifo();
    let changes = 0;
    let wake = (): void => undefined;
    const stop = linuxGpioDevices.watch(fd, () => {
      changes += 1;
      wake();
    });
    for (let event = 1; event <= 3; event += 1) {
      const told = new Promise<void>((resolve) => {
        wake = resolve;
      });
      writeSync(fd, new Uint8Array(48));
      await told;
      expect(changes).toBe(event);
    }
    stop();
    stop();
    await tellOnce(fd);
    expect(changes).toBe(3);
    await remove();
  });

  it('tell once of one that is gone', async () => {
    const master = linuxGpioDevices.open('/dev/ptmx');
    const number = new Uint8Array(4);
    linuxGpioDevices.ioctl(master, terminalNumber, number);
    linuxGpioDevices.ioctl(master, terminalLock, new Uint8Array(4));
    const terminal = openSync(`/dev/pts/${number[0]}`, 'r+');
    let changes = 0;
    const gone = new Promise<void>((resolve) => {
      linuxGpioDevices.watch(master, () => {
        changes += 1;
        resolve();
      });
    });
    closeSync(terminal);
    await gone;
    const { fd, remove } = await openFifo();
    await tellOnce(fd);
    expect(changes).toBe(1);
    closeSync(master);
    await remove();
  });
});

it('the hardware module finds an interface of the kernel by itself, and says that a chip is not there', async () => {
  const strike = { kind: 'gpio', chip: 'no such chip', line: 17, active: 'high', lockType: 'fail-secure' };
  const { doors } = await openHardware({ doors: { front: { strike } }, indicators: {} });
  const front = doors.get('front');
  const log = new InputLog();
  await front?.start(log.take);
  await front?.stop();
  expect(log.inputs).toMatchObject([{ kind: 'fault', fault: { code: 'door-hardware-absent' } }]);
});
