import { join, relative } from 'node:path';
import { ControlSocket } from '#adapters/control/control-socket.ts';
import { HolderFactsStore } from '#adapters/sqlite/holder-facts-store.ts';
import { toHex } from '#core/bytes/bytes.ts';
import type { JournalHead } from '#core/journal/record.ts';
import { listen } from '#terminal/listen.ts';
import { createTerminal } from '#terminal/terminal.ts';
import type { CardLink } from './card-link.ts';
import { StoredJournalPages } from './journal-pages.ts';
import { sitePlan } from './plan.ts';
import { SiteServer } from './server.ts';
import { SiteBuilding } from './site-building.ts';
import {
  checkpointEntries,
  openBase,
  openCards,
  openDoors,
  openPads,
  openRecords,
  type WhenStopping,
} from './site-stack.ts';

export interface SiteOptions {
  /** kept between runs: journal, policy, PIN counters, device key, log */
  readonly dataDirectory: string;
  /** the built pages */
  readonly pagesDirectory: string;
  /** 0 takes any free port */
  readonly port: number;
  /** `direct` leaves PC/SC out even where it can be had */
  readonly cardLink: 'any' | 'direct';
}

export interface RunningSite {
  readonly url: string;
  readonly cardLink: Pick<CardLink, 'view' | 'remark'>;
  /** Locks the doors, signs a last checkpoint, ends every process that the site started. */
  stop(): Promise<void>;
}

/**
 * Starts the simulated building: the terminal program itself on its real adapters, with virtual cards and simulated
 * doors, and the server of its page. Rejects with the fault of whatever cannot start, with everything ended again.
 */
export async function startSite(options: SiteOptions): Promise<RunningSite> {
  const closers: (() => Promise<void>)[] = [];
  const stop = async () => {
    const failures: unknown[] = [];
    for (const close of closers.splice(0).reverse()) {
      await close().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  };
  try {
    return { ...(await assemble(options, (close) => closers.push(close))), stop };
  } catch (error) {
    // the fault that kept it from starting says more than one that follows from it
    await stop().catch(() => undefined);
    throw error;
  }
}

async function assemble(
  { dataDirectory, pagesDirectory, port, cardLink }: SiteOptions,
  whenStopping: WhenStopping,
): Promise<Omit<RunningSite, 'stop'>> {
  const base = await openBase(dataDirectory, whenStopping);
  const { clock, log, entropy, deck, settings } = base;
  const { world, guard } = await openDoors(base, whenStopping);
  const { policy, journal, journalReader, signing } = await openRecords(base);
  const { link, readers, field } = await openCards(base, cardLink, whenStopping);
  const { pads, keys } = openPads(clock);
  let head: JournalHead | undefined;
  const pages = new StoredJournalPages({
    journal: journalReader,
    signing,
    checkpointEntries,
    head: () => head,
  });
  const building = new SiteBuilding({
    clock,
    log,
    timeZone: 'Asia/Tokyo',
    link: link.view,
    plan: sitePlan,
    cards: deck.cards,
    pinDigits: settings.pin.digits.values().next().value ?? { minimumDigits: 4, maximumDigits: 4 },
    field,
    people: world.people,
    pads: keys,
    rules: policy,
    journal: pages,
    resetCards: () => deck.reset(),
  });
  const observe = (event: Parameters<typeof building.observe>[0]) => {
    if (event.kind === 'journal') head = event.head;
    building.observe(event);
  };
  const { doors, indicators } = guard;
  const holders = new HolderFactsStore({ file: join(dataDirectory, 'journal.sqlite') });
  const terminal = createTerminal(
    {
      readers,
      doors,
      indicators,
      pinPads: pads,
      policy: policy.lookup,
      journal,
      clock,
      log,
      holders,
      observe,
    },
    settings,
  );
  // relative, since the path of a socket has 107 bytes at most
  const control = new ControlSocket({
    path: relative(process.cwd(), join(dataDirectory, 'control.sock')),
    log,
  });
  const server = new SiteServer({ building, pagesDirectory, runId: toHex(entropy.bytes(8)), log });
  // ended in the reverse order: pages first, then cards, then the terminal, which still reads and records
  whenStopping(() => pages.stop());
  whenStopping(() => terminal.stop());
  whenStopping(async () => building.stop());
  whenStopping(() => server.stop());
  whenStopping(() => control.stop());
  const url = await server.start(port);
  await terminal.start();
  const { terminalId } = settings;
  await listen({ channel: control, commands: terminal.commands, terminalId, clock, log });
  return { url, cardLink: link };
}
