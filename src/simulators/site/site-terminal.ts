import { join, relative } from 'node:path';
import { ControlSocket } from '#adapters/control/control-socket.ts';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { GuardedDoors } from '#adapters/process/guarded-doors.ts';
import { HolderFactsStore } from '#adapters/sqlite/holder-facts-store.ts';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { JournalStore } from '#adapters/sqlite/journal-store.ts';
import { PolicyStore } from '#adapters/sqlite/policy-store.ts';
import type { JournalHead } from '#core/journal/record.ts';
import type { CardReaders } from '#ports/card-reader.ts';
import type { PinPad } from '#ports/pin-pad.ts';
import type { TerminalEvent } from '#terminal/events.ts';
import { listen } from '#terminal/listen.ts';
import { openServerConnection } from '#terminal/server-connection.ts';
import { createTerminal } from '#terminal/terminal.ts';
import type { DoorWorld } from './door-world.ts';
import { StoredJournal } from './journal-pages.ts';
import { siteSettings } from './plan.ts';
import type { DoorPlan, TerminalJournal } from './site-parts.ts';
import type { SiteBase, WhenStopping } from './site-stack.ts';

/** a visitor's journal is small, and often signed, so that a visitor sees it */
const journalSettings = {
  reserveMiB: 16,
  checkpointEntries: 10,
  checkpointInterval: 60_000,
  retention: 90 * 86_400_000,
} as const;

export interface SiteTerminalParts {
  readonly base: SiteBase;
  readonly door: DoorPlan;
  /** of this terminal alone, where it is enrolled */
  readonly stateDirectory: string;
  readonly world: DoorWorld;
  readonly readers: CardReaders;
  readonly pad: PinPad;
  readonly observe: (event: TerminalEvent) => void;
}

/** The terminal at one door of the building: the terminal program itself, enrolled with the server of the site. */
export interface SiteTerminal {
  readonly journal: TerminalJournal;
  /** Rejects with the fault of whatever cannot start. */
  start(whenStopping: WhenStopping): Promise<void>;
  /** version of the policy that it goes by; 0 before the first */
  installed(): number;
}

export async function buildSiteTerminal(parts: SiteTerminalParts): Promise<SiteTerminal> {
  const { base, door, stateDirectory, world, readers, pad, observe } = parts;
  const { clock } = base;
  const settings = siteSettings(door, base.profiles);
  const { terminalId } = settings;
  const log = base.log.child({ terminal: terminalId });
  const signing = await openDeviceKey(stateDirectory);
  const file = join(stateDirectory, 'journal.sqlite');
  const records = new JournalStore({
    file,
    terminal: terminalId,
    signing,
    clock,
    reserveMiB: journalSettings.reserveMiB,
    checkpointEntries: journalSettings.checkpointEntries,
  });
  const server = await openServerConnection({
    config: { terminal: terminalId, stateDirectory, journal: journalSettings },
    journal: records,
    ...{ clock, log },
  });
  const guard = new GuardedDoors({
    parts: [world.hardware([door])],
    doorIds: [door.doorId],
    readerIds: [door.readerId],
  });
  let head: JournalHead | undefined;
  const journal = new StoredJournal({
    journal: new JournalReader({ file }),
    signing,
    checkpointEntries: journalSettings.checkpointEntries,
    head: () => head,
  });
  const terminal = createTerminal(
    {
      readers,
      doors: guard.doors,
      indicators: guard.indicators,
      pinPads: new Map([[door.readerId, pad]]),
      policy: new PolicyStore({
        file: join(stateDirectory, 'policy.sqlite'),
        journal: file,
        ...(server && { trust: server.distribution.trust }),
      }),
      ...(server && { distribution: server.distribution }),
      journal: records,
      clock,
      log,
      holders: new HolderFactsStore({ file }),
      observe: (event) => {
        if (event.kind === 'journal') head = event.head;
        // the other doors' readers are no business of this terminal: it says that it must not use them
        if (event.kind !== 'reader' || event.status.name === door.deviceName) observe(event);
      },
    },
    settings,
  );
  return {
    journal,
    installed: () => terminal.policySync?.status().installed?.version ?? 0,
    start: async (whenStopping) => {
      // ended in the reverse order: the terminal first, which locks its door and still records that
      whenStopping(() => journal.stop());
      whenStopping(() => guard.stop());
      await guard.start();
      whenStopping(() => terminal.stop());
      await terminal.start();
      if (server) whenStopping(() => server.stop());
      await server?.start(terminal);
      // relative, since the path of a socket has 107 bytes at most
      const path = relative(process.cwd(), join(stateDirectory, 'control.sock'));
      const channel = new ControlSocket({ path, log });
      whenStopping(() => channel.stop());
      await listen({ channel, commands: terminal.commands, terminalId, clock, log });
    },
  };
}
