import { join } from 'node:path';
import { pino } from 'pino';
import { ControlSocket } from '#adapters/control/control-socket.ts';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { GuardedDoors } from '#adapters/process/guarded-doors.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { PolicyStore } from '#adapters/sqlite/policy-store.ts';
import { doorSettingsSchema } from '#core/access/door-settings.ts';
import type { HardwarePart } from '#core/access/door-wiring.ts';
import { listen } from '#terminal/listen.ts';
import { createTerminal } from '#terminal/terminal.ts';

/**
 * A terminal with real stores, real guard and one door, but no reader, which takes commands until it is killed.
 * Usage: node commanded-terminal.ts DIRECTORY HARDWARE-PART-JSON; writes `listening` when it does.
 */
const [directory = '', part = ''] = process.argv.slice(2);
const [policy, journal] = [join(directory, 'policy.sqlite'), join(directory, 'journal.sqlite')];
const clock = new SystemClock();
const log = pino({ level: 'error' });
const guarded = new GuardedDoors({
  parts: [JSON.parse(part) as HardwarePart],
  doorIds: ['front'],
  readerIds: [],
});
const terminal = createTerminal(
  {
    readers: { start: async () => undefined, stop: async () => undefined, list: () => [] },
    doors: guarded.doors,
    indicators: guarded.indicators,
    pinPads: new Map(),
    policy: new PolicyStore({ file: policy, journal }),
    journal: new JournalStore({
      file: journal,
      terminal: 'killed',
      signing: await openDeviceKey(directory),
      clock,
      reserveMiB: 8,
    }),
    clock,
    log,
  },
  {
    terminalId: 'killed',
    readers: [],
    doors: [{ doorId: 'front', settings: doorSettingsSchema.parse({ contact: 'none', strikeMs: 500 }) }],
    pin: { timeoutMs: 20_000, digits: new Map() },
    decisionDeadlineMs: 5_000,
    interlocks: [],
    automation: { rules: [], inputs: [], outputs: [] },
    virtualReaders: 'allowed',
  },
);
await guarded.start();
await terminal.start();
const channel = new ControlSocket({ path: join(directory, 'control.sock'), log });
await listen({ channel, commands: terminal.commands, terminalId: 'killed', clock, log });
process.stdout.write('listening\n');
