import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import epoll from 'epoll';
import koffi from 'koffi';
import type { GpioDevices } from './character-device-lines.ts';
import { lineEventBytes } from './gpio-abi.ts';

/** FIONBIO (<asm-generic/ioctls.h>): a read ends at once where there is nothing to read */
const setNonBlocking = 0x5421;
/** as many events as the kernel keeps for a line */
const keptEvents = 16;

const libcIoctl = koffi.load('libc.so.6').func('int ioctl(int fd, unsigned long request, ...)');

/** The GPIO chips of this machine. */
export const linuxGpioDevices: GpioDevices = {
  chips: () =>
    readdirSync('/dev')
      .filter((name) => /^gpiochip\d+$/.test(name))
      .map((name) => `/dev/${name}`),
  open: (path) => openSync(path, 'r+'),
  close: closeSync,
  ioctl,
  watch: (fd, changed) => {
    ioctl(fd, setNonBlocking, new Uint8Array([1, 0, 0, 0]));
    let watching = true;
    const stop = (): void => {
      if (watching) poller.remove(fd);
      watching = false;
    };
    const poller = new epoll.Epoll((error) => {
      // a line that is gone would be told of again and again
      if (error || !takeEvents(fd)) stop();
      changed();
    });
    poller.add(fd, epoll.Epoll.EPOLLIN);
    return stop;
  },
};

/** Throws what the kernel answers as a system error, with its name as `code`. */
function ioctl(fd: number, request: number, argument: Uint8Array): void {
  if (libcIoctl(fd, request, 'void *', argument) >= 0) return;
  const code = getSystemErrorName(-koffi.errno());
  throw Object.assign(new Error(`ioctl: ${code}`), { code });
}

/** Reads what edges left behind: the level counts, not its history. False when the line is gone. */
function takeEvents(fd: number): boolean {
  try {
    readSync(fd, new Uint8Array(keptEvents * lineEventBytes));
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EAGAIN';
  }
}
