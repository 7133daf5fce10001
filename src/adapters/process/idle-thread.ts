import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';

const answerWithinMs = 5_000;

/**
 * Has the calling thread run only while no other thread wants the processor (SCHED_IDLE, sched(7)). A nice value, which is
 * all that Node sets, does less: since Linux 6.6 whoever wakes up waits for the time slice of a thread to end however nice
 * it is, up to 4 ms with Debian's kernels, and a tap wakes up several threads one after another. Where the host does not
 * allow that, the thread runs as it did.
 */
export function runWhenIdle(): void {
  const thread = basename(readlinkSync('/proc/thread-self'));
  spawnSync('chrt', ['--idle', '--pid', '0', thread], { stdio: 'ignore', timeout: answerWithinMs });
}
