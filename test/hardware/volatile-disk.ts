import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const sector = 512;
/** of an entry of the log (Documentation/admin-guide/device-mapper/log-writes.rst of Linux, which qemu follows) */
const flags = { flush: 1n, fua: 2n, discard: 4n } as const;

interface Write {
  readonly at: number;
  readonly bytes: Buffer;
  /** on the disk itself when it returned */
  readonly forced: boolean;
}

/**
 * A raw disk whose writes stay in its volatile cache until the machine flushes it. qemu's driver `blklogwrites` keeps
 * a log of all writes and flushes; `losePower` makes of that what a disk holds after its power went.
 */
export class VolatileDisk {
  readonly #image: string;
  readonly #log: string;

  /** `folder` holds the image, as it is when the machine starts, and gets the log. */
  constructor(folder: string) {
    this.#image = join(folder, 'volatile');
    this.#log = join(folder, 'log');
  }

  get image(): string {
    return this.#image;
  }

  /** The options of qemu that make the node `data`. What the machine sees goes to a copy, the image stays. */
  options(copy: string): readonly string[] {
    closeSync(openSync(this.#log, 'w'));
    return [
      ...['-blockdev', `driver=file,filename=${copy},node-name=seen`],
      ...['-blockdev', `driver=file,filename=${this.#log},node-name=log`],
      ...['-blockdev', `driver=blklogwrites,file=seen,log=log,log-sector-size=${sector},node-name=data`],
    ];
  }

  /**
   * Brings the image to what the disk holds after the power went: everything up to the last flush, and of what came
   * after, which a disk may write in any order or not at all, the writes for which `kept` says so.
   */
  losePower(kept: () => boolean): { readonly flushes: number; readonly lost: number } {
    const image = openSync(this.#image, 'r+');
    let waiting: Write[] = [];
    let flushes = 0;
    const put = ({ at, bytes }: Write) => writeSync(image, bytes, 0, bytes.length, at);
    for (const entry of readLog(this.#log)) {
      if (entry === 'flush') {
        for (const write of waiting) put(write);
        waiting = [];
        flushes += 1;
      } else {
        waiting.push(entry);
      }
    }
    const [stays, goes] = [waiting.filter(({ forced }) => forced || kept()), waiting.length];
    for (const write of stays) put(write);
    closeSync(image);
    return { flushes, lost: goes - stays.length };
  }
}

/**
 * The log in order: sector 0 describes it, then each entry is one sector, with the data of a write behind it. Places are
 * given out before they are written, so that a write under way when qemu was killed may have left its own blank.
 */
function* readLog(path: string): Iterable<Write | 'flush'> {
  const log = openSync(path, 'r');
  try {
    const head = Buffer.alloc(sector);
    for (let at = sector; readSync(log, head, 0, sector, at) === sector; ) {
      at += sector;
      const count = head.readBigUInt64LE(8);
      const flag = head.readBigUInt64LE(16);
      const length = (flag & flags.discard) === 0n ? Number(count) * sector : 0;
      const bytes = Buffer.alloc(length);
      if (readSync(log, bytes, 0, length, at) !== length) return;
      at += length;
      const place = Number(head.readBigUInt64LE(0)) * sector;
      if (length > 0) yield { at: place, bytes, forced: (flag & flags.fua) !== 0n };
      if ((flag & flags.flush) !== 0n) yield 'flush';
    }
  } finally {
    closeSync(log);
  }
}
