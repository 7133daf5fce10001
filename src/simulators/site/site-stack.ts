import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Logger, pino } from 'pino';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { PcscReaders } from '#adapters/pcsc/pcsc-readers.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type { CardReaders } from '#ports/card-reader.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import { DirectReaders } from '#simulators/card/direct-readers.ts';
import { readTestKeys, TestKeys } from '#simulators/card/test-keys.ts';
import { SimulatedPinPad } from '#simulators/door/simulated-pin-pad.ts';
import { loadCardProfile } from '#terminal/config.ts';
import { type CardLink, chooseCardLink, DirectField, VpcdField } from './card-link.ts';
import { type Deck, openDeck } from './deck.ts';
import { DoorWorld, makeSocketDirectory } from './door-world.ts';
import { shipped } from './files.ts';
import { sitePlan } from './plan.ts';
import type { CardField, DoorPlan, PadKeys } from './site-parts.ts';

/** Registers what ends a part; the last registered is ended first. */
export type WhenStopping = (close: () => Promise<void>) => void;

/** What every part of the site stands on. */
export interface SiteBase {
  readonly dataDirectory: string;
  readonly log: Logger;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly profiles: readonly CardProfile[];
  readonly deck: Deck;
}

/** Makes a directory and those above it. (Node's own recursion never ends where the kernel denies that they exist.) */
export async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { mode: 0o700 }).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return;
    if (error.code !== 'ENOENT' || dirname(path) === path) throw error;
    await makeDirectory(dirname(path));
    await mkdir(path, { mode: 0o700 });
  });
}

export async function openBase(dataDirectory: string, whenStopping: WhenStopping): Promise<SiteBase> {
  const cardStates = join(dataDirectory, 'cards');
  await makeDirectory(cardStates);
  // three files of 10 MB at most: a site left running for months does not fill the disk with words
  const options = { file: join(dataDirectory, 'site'), extension: '.log', size: '10m', limit: { count: 2 } };
  const file = pino.transport({ target: 'pino-roll', options });
  whenStopping(
    () =>
      new Promise((resolve) => {
        file.once('close', resolve);
        // its thread keeps no process alive by itself: without this the program would end while the log is written
        (file as typeof file & { ref(): void }).ref();
        file.end();
      }),
  );
  const folder = '../../../device-config/card-profiles';
  const profiles = await Promise.all(
    ['synthetic-type-a', 'synthetic-type-d', 'synthetic-type-c'].map((name) =>
      loadCardProfile(shipped(`${folder}/${name}.yaml`)),
    ),
  );
  const deck = await openDeck(shipped('./deck/deck.yaml'), cardStates);
  await deck.load();
  return {
    dataDirectory,
    log: pino({ level: 'info' }, file),
    clock: new SystemClock(),
    entropy: new SystemEntropy(),
    profiles,
    deck,
  };
}

/** The simulated doors in their process. */
export async function openDoors(
  { clock, dataDirectory, log }: SiteBase,
  whenStopping: WhenStopping,
): Promise<DoorWorld> {
  const world = new DoorWorld({
    plan: sitePlan,
    clock,
    recordPath: join(dataDirectory, 'doors.jsonl'),
    directory: await makeSocketDirectory(),
    failed: (error) => log.error({ err: error }, 'the simulated doors did not answer'),
  });
  whenStopping(() => world.stop());
  await world.start();
  return world;
}

/** The readers of each door, through PC/SC where it can be had, and the fields that cards are put into. */
export async function openCards(
  { deck, profiles, clock, entropy, log }: SiteBase,
  wanted: 'any' | 'direct',
  whenStopping: WhenStopping,
): Promise<{ link: CardLink; readersOf: (door: DoorPlan) => CardReaders; field: CardField }> {
  const keys = new TestKeys(await readTestKeys());
  const link = await chooseCardLink(wanted);
  const { pcscd } = link;
  if (pcscd) whenStopping(() => pcscd.stop());
  const virtual = (cardId: string) => deck.virtual(cardId);
  const allowed = ({ deviceName }: DoorPlan) => [
    { readerName: deviceName, profileIds: profiles.map(({ id }) => id) },
  ];
  if (link.view.kind === 'direct') {
    const readers = new Map(
      sitePlan.map((door) => [
        door.readerId,
        {
          name: door.deviceName,
          readers: new DirectReaders({ readers: allowed(door), profiles, keys, entropy, clock }),
        },
      ]),
    );
    const readersOf = ({ readerId }: DoorPlan): CardReaders => {
      const found = readers.get(readerId);
      if (!found) throw new Error(`no reader ${readerId} in the plan`);
      return found.readers;
    };
    return { link, readersOf, field: new DirectField({ readers, virtual }) };
  }
  const readersOf = (door: DoorPlan): CardReaders =>
    new PcscReaders({
      ...{ allowed: allowed(door), profiles, keys, log },
      elsewhere: sitePlan.filter((other) => other !== door).map(({ deviceName }) => deviceName),
      virtualReaders: 'allowed',
    });
  return { link, readersOf, field: new VpcdField({ plan: sitePlan, virtual, clock }) };
}

/** A pin pad at each reader, and its keys for the page. */
export function openPads(clock: Clock): {
  pads: ReadonlyMap<string, SimulatedPinPad>;
  keys: ReadonlyMap<string, PadKeys>;
} {
  const pads = new Map(sitePlan.map(({ readerId }) => [readerId, new SimulatedPinPad({ clock })]));
  return { pads, keys: new Map([...pads].map(([readerId, pad]) => [readerId, keysOf(pad)])) };
}

function keysOf(pad: SimulatedPinPad): PadKeys {
  return {
    press: (key) => {
      if (key === 'enter') pad.enter();
      else if (key === 'cancel') pad.cancel();
      else pad.press(Number(key));
    },
  };
}
