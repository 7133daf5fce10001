import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { swapRemark } from '#adapters/os/swap.ts';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kazasu-swap-'));
});
afterEach(() => rm(root, { recursive: true }));

async function machine(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
}
const header = 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n';
const file = `${header}/var/swap                               file\t\t524284\t\t0\t\t-2\n`;
const zram = `${header}/dev/zram0                              partition\t2097148\t\t0\t\t100\n`;
const group = { 'proc/self/cgroup': '0::/system.slice/kazasu-terminal.service\n' };
const limit = 'sys/fs/cgroup/system.slice/kazasu-terminal.service/memory.swap.max';

test.each<readonly [name: string, files: Record<string, string>]>([
  ['there is no swap', { 'proc/swaps': header }],
  ['the kernel knows no swap', {}],
  ['the service is kept out of it', { 'proc/swaps': file, ...group, [limit]: '0\n' }],
  ['it is in compressed memory', { 'proc/swaps': zram, ...group, 'sys/block/zram0/backing_dev': 'none\n' }],
])('nothing is said where %s', async (_name, files) => {
  await machine(files);
  expect(swapRemark(root)).toBeUndefined();
});

test.each<readonly [name: string, files: Record<string, string>, swap: string]>([
  ['the service may use it', { 'proc/swaps': file, ...group, [limit]: 'max\n' }, '/var/swap'],
  [
    'the kernel limits no memory, as on a Raspberry Pi by default',
    { 'proc/swaps': file, ...group },
    '/var/swap',
  ],
  [
    'control groups are of the old kind',
    { 'proc/swaps': file, 'proc/self/cgroup': '4:memory:/a\n' },
    '/var/swap',
  ],
  [
    'compressed memory has a disk behind it',
    { 'proc/swaps': zram, ...group, 'sys/block/zram0/backing_dev': '/dev/sda2\n' },
    '/dev/zram0',
  ],
])('swap is told where %s', async (_name, files, swap) => {
  await machine(files);
  expect(swapRemark(root)).toContain(`keys may reach the disk: ${swap} is in use`);
});
