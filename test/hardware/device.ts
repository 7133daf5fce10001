import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commission } from './commissioning.ts';
import { Machine } from './machine.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const image = join(root, 'test/hardware/image');
/** where machines are kept: not of the checkout, so that only what is said here becomes part of one */
const kept = join(root, '.runtime/hardware');
/** of the checkout, what the machine depends on */
const installed =
  /^(src\/(?!web\/)|scripts\/|systemd\/|device-config\/|package|\.node-version|docs\/commissioning|test\/hardware\/(image|commissioning|configuration|cards))/;

/** The device under test: a machine on which this checkout was installed as docs/commissioning.md says. */
export class Device {
  readonly #base: string;
  readonly #folder: string;

  private constructor(base: string, folder: string) {
    this.#base = base;
    this.#folder = folder;
  }

  /** Takes the device that is kept for this checkout, or makes it. `say` is told what takes time. */
  static async prepare(say: (text: string) => void): Promise<Device> {
    const base = join(
      kept,
      `base-${hashOf(readdirSync(image, { recursive: true, encoding: 'utf8' }), image)}`,
    );
    await keep(base, 'base-', async (partial) => {
      say('building the emulated machine, which is kept');
      run(join(image, 'build-base'), partial);
    });
    const device = new Device(base, join(kept, `device-${hashOf(checkout(), root)}`));
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
      });
      await commission(machine);
      await machine.save(join(partial, 'state'));
    });
    return device;
  }

  /**
   * A machine with disks of its own in `folder`, as they were after the installation: booted, or with the terminal
   * running as it did (`resumed`). `data` replaces the disk of the state directory.
   */
  async start(how: 'booted' | 'resumed', folder: string, data?: readonly string[]): Promise<Machine> {
    const [disk, own] = [join(folder, 'disk'), join(folder, 'data')];
    const backing = join(this.#folder, 'disk');
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', backing, disk);
    if (!data) this.copyData(own);
    const state = how === 'resumed' && { state: join(this.#folder, 'state') };
    return Machine.start({ ...this.#kernel(), disk, data: data ?? rawDisk(own), folder, ...state });
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

function rawDisk(file: string): readonly string[] {
  return ['-drive', `file=${file},format=raw,if=none,id=data,cache=unsafe`];
}

/** Makes `folder` unless it is there, and forgets those of the same kind that are of another recipe. */
async function keep(folder: string, kind: string, make: (partial: string) => Promise<void>): Promise<void> {
  if (existsSync(folder)) return;
  mkdirSync(kept, { recursive: true });
  for (const name of readdirSync(kept).filter((name) => name.startsWith(kind)))
    rmSync(join(kept, name), { recursive: true });
  await make(`${folder}.partial`);
  renameSync(`${folder}.partial`, folder);
}

/** The files of the checkout as they are now, committed or not. */
function checkout(): readonly string[] {
  const words = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const listed = execFileSync('git', words, { cwd: root, encoding: 'utf8' }).split('\0');
  return listed.filter((path) => installed.test(path) && existsSync(join(root, path)));
}

function hashOf(paths: readonly string[], folder: string): string {
  const hash = createHash('sha256');
  for (const path of [...paths].sort()) {
    const file = join(folder, path);
    hash.update(`${path}\0`);
    if (!statSync(file).isDirectory()) hash.update(readFileSync(file));
  }
  return hash.digest('hex').slice(0, 16);
}

function run(program: string, ...words: readonly string[]): void {
  execFileSync(program, words, { stdio: ['ignore', 'inherit', 'inherit'] });
}
