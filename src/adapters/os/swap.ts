import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/**
 * What to say where memory of this process, and keys in it, may be written to a disk: swap is in use and the control
 * group is not kept out of it (`MemorySwapMax=0`, without effect where the kernel runs without the memory controller).
 * Swap in compressed memory (zram) without a disk behind it counts for none. `root` stands before every path, for tests.
 */
export function swapRemark(root = '/'): string | undefined {
  const read = (path: string): string => {
    try {
      return readFileSync(join(root, path), 'utf8');
    } catch {
      return '';
    }
  };
  const onDisk = (swap: string) =>
    !swap.startsWith('/dev/zram') || !/^(none)?\s*$/.test(read(`sys/block/${basename(swap)}/backing_dev`));
  const [, ...lines] = read('proc/swaps').split('\n');
  const swaps = lines.flatMap((line) => line.match(/^\S+/)?.[0] ?? []).filter(onDisk);
  if (swaps.length === 0) return undefined;
  const group = /^0::(.*)$/m.exec(read('proc/self/cgroup'))?.[1] ?? '';
  if (read(join('sys/fs/cgroup', group, 'memory.swap.max')).trim() === '0') return undefined;
  return `keys may reach the disk: ${swaps.join(' and ')} is in use for swap, and nothing keeps this process out of it`;
}
