import { join } from 'node:path';
import { toHex } from '#core/bytes/bytes.ts';
import { Fault } from '#core/fault.ts';
import type { TerminalEvent } from '#terminal/events.ts';
import type { CardLink } from './card-link.ts';
import { freePort } from './free-port.ts';
import { MergedJournal } from './merged-journal.ts';
import { sitePlan } from './plan.ts';
import { SiteServer } from './server.ts';
import { SiteBuilding } from './site-building.ts';
import { SiteIssuance } from './site-issuance.ts';
import { makeDirectory, openBase, openCards, openDoors, openPads, type WhenStopping } from './site-stack.ts';
import { buildSiteTerminal, type SiteTerminal } from './site-terminal.ts';

export interface SiteOptions {
  /** kept between runs: the server's state, that of each terminal, PIN counters, log */
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
  /** configuration of its issuance server, for commands beside it */
  readonly issuance: string;
  /** Locks the doors, signs a last checkpoint, ends every process that the site started. */
  stop(): Promise<void>;
}

/**
 * Starts the simulated building: an issuance server with its broker, the terminal program itself at each door, enrolled
 * there and on its real adapters, with virtual cards and simulated doors, and the server of its page. Rejects with the fault of whatever cannot start, with everything ended again.
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
  // said before anything is begun: the page itself opens last
  if ((await freePort(port)) === undefined)
    throw new Fault('argument-invalid', `port ${port} is in use on this machine`);
  const base = await openBase(dataDirectory, whenStopping);
  const { clock, log, entropy, deck, profiles } = base;
  const folders = new Map(
    sitePlan.map(({ doorId }) => [doorId, join(dataDirectory, 'terminals', doorId)] as const),
  );
  for (const folder of folders.values()) await makeDirectory(folder);
  const issuance = new SiteIssuance({
    directory: dataDirectory,
    terminals: folders,
    lost: (fault) => log.error({ fault: fault.code }, fault.message),
  });
  whenStopping(() => issuance.stop());
  // terminals that are enrolled do not wait for their server
  const serving = issuance.start();
  serving.catch(() => undefined);
  const [world, { link, readersOf, field }] = await all(
    openDoors(base, whenStopping),
    openCards(base, cardLink, whenStopping),
    issuance.areEnrolled().then((enrolled) => (enrolled ? undefined : serving)),
  );
  const { pads, keys } = openPads(clock);
  const observers: ((event: TerminalEvent) => void)[] = [];
  const terminals = new Map<string, SiteTerminal>();
  for (const door of sitePlan) {
    const { doorId, readerId } = door;
    const pad = pads.get(readerId);
    const stateDirectory = folders.get(doorId);
    if (!pad || stateDirectory === undefined) throw new Error(`no terminal at ${doorId}`);
    const observe = (event: TerminalEvent): void => {
      for (const one of observers) one(event);
    };
    const parts = { base, door, stateDirectory, world, readers: readersOf(door), pad, observe };
    terminals.set(doorId, await buildSiteTerminal(parts));
  }
  const journal = new MergedJournal({
    journals: new Map([...terminals].map(([terminal, one]) => [terminal, one.journal])),
  });
  await journal.start();
  const digits = profiles.flatMap(({ pin }) => pin ?? []);
  const building = new SiteBuilding({
    clock,
    log,
    timeZone: 'Asia/Tokyo',
    link: link.view,
    plan: sitePlan,
    cards: deck.cards,
    pinDigits: digits[0] ?? { minimumDigits: 4, maximumDigits: 4 },
    field,
    people: world.people,
    pads: keys,
    rules: issuance,
    journal,
    resetCards: () => deck.reset(),
  });
  observers.push((event) => building.observe(event));
  const server = new SiteServer({ building, pagesDirectory, runId: toHex(entropy.bytes(8)), log });
  // ended in the reverse order: pages first, then cards, then the terminals, which still read and record
  const begun = [...terminals.values()].map((terminal) => terminal.start(whenStopping));
  await Promise.all([...begun, serving]);
  await issuance.awaitPolicies((terminal) => terminals.get(terminal)?.installed() ?? 0);
  whenStopping(async () => building.stop());
  whenStopping(() => server.stop());
  return { url: await server.start(port), cardLink: link, issuance: issuance.configFile() };
}

/** Waits for all of them, also where one fails, so that everything that was begun can be ended. */
async function all<A, B>(first: Promise<A>, second: Promise<B>, third: Promise<unknown>): Promise<[A, B]> {
  await Promise.allSettled([first, second, third]);
  await third;
  return [await first, await second];
}
