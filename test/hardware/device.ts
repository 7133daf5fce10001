import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashOf, image, keep, kept, prepareBase, root, run, say } from './base.ts';
import { commission } from './commissioning.ts';
import { Machine } from './machine.ts';

/** of the checkout, what the machine depends on */
const installed =
  /^(src\/(?!web\/)|scripts\/|systemd\/|device-config\/|package|\.node-version|docs\/commissioning|test\/contracts\/|test\/hardware\/(image|in-machine|commissioning|configuration|cards))/;

/** The device under test: a machine on which this checkout was installed as docs/commissioning.md says. */
export class Device {
  readonly #base: string;
  readonly #folder: string;
  readonly #processors: 1 | 2;

  private constructor(base: string, folder: string, processors: 1 | 2) {
    this.#base = base;
    this.#folder = folder;
    this.#processors = processors;
  }

  /** Takes the device that is kept for this checkout, or makes it. Its machines have so many processors. */
  static async prepare(processors: 1 | 2): Promise<Device> {
    const base = await prepareBase();
    const device = new Device(base, join(kept, `device-${hashOf(checkout(), root)}`), processors);
    await keep(device.#folder, 'device-', async (partial) => {
      say('installing this checkout on it, which is kept');
      mkdirSync(partial);
      const disk = join(partial, 'disk');
      run(join(image, 'build-disk'), base, disk);
      const data = join(partial, 'data');
      run('mke2fs', '-q', '-t', 'ext4', data, '256M');
      const machine = await Machine.start({
        ...device.#kernel(),
        disk,
        data: rawDisk(data),
        folder: partial,
        processors: 2,
      });
      await commission(machine);
      await machine.save(join(partial, 'state'));
    });
    return device;
  }

  /**
   * A machine with disks of its own in `folder`: as they were after the installation, booted or with the terminal running
   * as it did (`resumed`), or as the machine before left them there (`again`). `data` replaces the disk of the state
   * directory.
   */
  async start(
    how: 'booted' | 'resumed' | 'again',
    folder: string,
    data?: readonly string[],
  ): Promise<Machine> {
    const [disk, own] = [join(folder, 'disk'), join(folder, 'data')];
    if (how !== 'again') {
      const backing = join(this.#folder, 'disk');
      run('qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', backing, disk);
      if (!data) this.copyData(own);
    }
    const state = how === 'resumed' && { state: join(this.#folder, 'state') };
    const files = { ...this.#kernel(), disk, data: data ?? rawDisk(own), folder, ...state };
    return Machine.start({ ...files, processors: this.#processors });
  }

  /** Copies the disk of the state directory as it was after the installation. */
  copyData(to: string): void {
    run('cp', '--sparse=always', join(this.#folder, 'data'), to);
  }

  #kernel() {
    return { kernel: join(this.#base, 'vmlinux'), initrd: join(this.#base, 'initrd') };
  }
}

/** Gives `use` a folder for the files of one machine, which is gone afterwards. */
export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'kazasu-hardware-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The words that make a raw file the disk of the state directory. */
export function rawDisk(file: string): readonly string[] {
  return ['-drive', `file=${file},format=raw,if=none,id=data,cache=unsafe`];
}

/** The files of the checkout as they are now, committed or not. */
function checkout(): readonly string[] {
  const words = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const listed = execFileSync('git', words, { cwd: root, encoding: 'utf8' }).split('\0');
  return listed.filter((path) => installed.test(path) && existsSync(join(root, path)));
}
