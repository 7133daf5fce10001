import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const sector = 512;
/** what a disk writes as a whole or not at all; the log's own writes are never split further */
const pageBytes = 4_096;
/** of an entry of the log (Documentation/admin-guide/device-mapper/log-writes.rst of Linux, which qemu follows) */
const flags = { flush: 1n, fua: 2n, discard: 4n } as const;

interface Entry {
  /** bytes of the log up to and with this entry */
  readonly end: number;
  readonly flush: boolean;
  /** of its data; none for a flush */
  readonly length: number;
  /** on the disk */
  readonly place: number;
  /** on the disk itself when it returned */
  readonly forced: boolean;
}

/** A point in the life of a disk at which its power may go. */
export interface Moment {
  /** bytes of the log until then */
  readonly at: number;
  /** writes that only its volatile cache holds */
  readonly waiting: number;
}

/**
 * A raw disk whose writes stay in its volatile cache until the machine flushes it. qemu's driver `blklogwrites` keeps
 * a log of all writes and flushes; `losePower` makes of that what a disk holds if its power goes, at the end or at any
 * moment before: one run of a machine has as many power cuts in it as its log has entries.
 *
 * Why the log may be cut anywhere: qemu carries a write or a flush out, then gives it the next place in the log, writes
 * it there, and only then tells the machine that it is done. So what the machine takes for done is in the log, a flush
 * behind each write that it covers. Whatever happens in the world because something is on the disk happens when the log
 * is at least as long as it was after the flush; its length, looked at when that is seen, is never too small. A log cut
 * there or later holds everything that the world relies on. What it lacks, the machine did later: a power cut before.
 * A write that was under way beside a flush may stand before it and is then taken for kept, as a disk is free to do.
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

  /** How long the log is at this moment, in bytes. */
  get logged(): number {
    return statSync(this.#log).size;
  }

  /** Every point at which the power may go, in order; the last one is the end of the log. */
  moments(): readonly Moment[] {
    const moments: Moment[] = [];
    let waiting = 0;
    for (const { end, flush } of readLog(this.#log)) {
      waiting = flush ? 0 : waiting + 1;
      moments.push({ at: end, waiting });
    }
    return moments;
  }

  /**
   * Writes to the file `to` what the disk holds if the power goes when the log is `at` long: everything up to the last
   * flush, and of what came after, which a disk may write in any order, in part or not at all, the pages for which
   * `kept` says so. Returns how many pages were lost.
   */
  losePower(to: string, at: number, kept: () => boolean): number {
    execFileSync('cp', ['--sparse=always', this.#image, to]);
    const [log, disk] = [openSync(this.#log, 'r'), openSync(to, 'r+')];
    let waiting: Entry[] = [];
    let lost = 0;
    const copy = (from: number, place: number, length: number) => {
      const bytes = Buffer.alloc(length);
      readSync(log, bytes, 0, length, from);
      writeSync(disk, bytes, 0, length, place);
    };
    for (const entry of readLog(this.#log)) {
      if (entry.end > at) break;
      waiting.push(entry);
      if (!entry.flush) continue;
      for (const { end, length, place } of waiting) copy(end - length, place, length);
      waiting = [];
    }
    for (const { end, length, place, forced } of waiting) {
      for (let done = 0; done < length; done += pageBytes) {
        if (forced || kept()) copy(end - length + done, place + done, Math.min(pageBytes, length - done));
        else lost += 1;
      }
    }
    for (const file of [log, disk]) closeSync(file);
    return lost;
  }
}

/**
 * The log in order: sector 0 describes it, then each entry is one sector, with the data of a write behind it. Places are
 * given out before they are written, so that a write under way when qemu was killed may have left its own blank.
 */
function* readLog(path: string): Iterable<Entry> {
  const log = openSync(path, 'r');
  try {
    const { size } = statSync(path);
    const head = Buffer.alloc(sector);
    for (let at = sector; readSync(log, head, 0, sector, at) === sector; ) {
      const flag = head.readBigUInt64LE(16);
      const length = (flag & flags.discard) === 0n ? Number(head.readBigUInt64LE(8)) * sector : 0;
      const end = at + sector + length;
      if (end > size) return;
      const place = Number(head.readBigUInt64LE(0)) * sector;
      const [flush, forced] = [(flag & flags.flush) !== 0n, (flag & flags.fua) !== 0n];
      if (flush || length > 0) yield { end, flush, length, place, forced };
      at = end;
    }
  } finally {
    closeSync(log);
  }
}
