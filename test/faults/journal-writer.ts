import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { isFault } from '#core/fault.ts';
import { forgettingBody } from '#core/journal/forgetting.ts';
import type { JournalRecord } from '#core/journal/record.ts';

/**
 * A process that writes a journal until it is killed, for fault tests: `journal-writer.ts DIRECTORY`. Each line of
 * its output is JSON: `{"acknowledged": SEQUENCE}` or `{"fault": CODE}`. Many appends wait at any time. With a third argument
 * it lets go of entries all the time, as if a server had all of them at once.
 */
const [directory = '.', reserveMiB = '2', forgets] = process.argv.slice(2);
const clock = new SystemClock();
const journal = new JournalStore({
  file: `${directory}/journal.sqlite`,
  terminal: 'gate',
  signing: await openDeviceKey(directory),
  clock,
  reserveMiB: Number(reserveMiB),
  checkpointEntries: 50,
});

function tell(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function record(index: number): JournalRecord {
  return {
    kind: 'decision',
    atMs: clock.utcMs(),
    monotonicUs: clock.monotonicUs(),
    bootId: clock.bootId(),
    clock: 'trusted',
    body: { door: 'north', index, filling: 'x'.repeat(400) },
    personal: { userNumber: `A${index}` },
  };
}

let index = 0;
async function write(): Promise<void> {
  for (;;) {
    index += 1;
    try {
      const head = await journal.append([record(index), record(index)]);
      tell({ acknowledged: head.sequence });
    } catch (error) {
      tell({ fault: isFault(error) ? error.code : String(error) });
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

async function forget(): Promise<void> {
  for (;;) {
    const { sequence } = await journal.append([record(index)]);
    await journal.uploaded({ stored: sequence, signed: sequence });
    const plan = await journal.planForgetting({ most: 500, nowMs: clock.utcMs() });
    if (!plan) continue;
    const { personal: _, ...rest } = record(index);
    const body = forgettingBody(plan.head, 'space');
    const { sequence: acknowledged } = await journal.append([{ ...rest, kind: 'terminal', body }]);
    tell({ acknowledged });
    while (!(await journal.forgetSome(plan.through)));
  }
}

const head = await journal.start();
tell({ acknowledged: head.sequence });
await Promise.all([...Array.from({ length: 4 }, write), ...(forgets ? [forget()] : [])]);
