import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';

/** What the kernel shows of a HID device beside its reports. */
export interface HidSysfs {
  /** the USB port and interface, such as `1-1.2:1.0` */
  port(path: string): string | undefined;
  /** whether the kernel's input layer ignores the device, so that its keys reach no console and no desktop */
  inhibited(path: string): boolean;
}

/** The same read from /sys/class/hidraw; `root` differs in tests alone. */
export function hidSysfs(root = '/sys/class/hidraw'): HidSysfs {
  const device = (path: string): string => join(root, basename(path), 'device');
  return {
    port: (path) => {
      try {
        return realpathSync(device(path))
          .split('/')
          .findLast((part) => /^\d+-[\d.]+:\d+\.\d+$/.test(part));
      } catch {
        return undefined;
      }
    },
    inhibited: (path) => {
      const inputs = join(device(path), 'input');
      try {
        return readdirSync(inputs).every(
          (input) => readFileSync(join(inputs, input, 'inhibited'), 'utf8').trim() === '1',
        );
      } catch {
        // without any input device the keys reach nobody; without the attribute (before Linux 5.11) they do
        return existsSync(device(path)) && !existsSync(inputs);
      }
    },
  };
}
