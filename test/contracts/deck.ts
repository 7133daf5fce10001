import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { type CardProfile, parseCardProfile } from '#core/card/profile.ts';
import { loadVirtualCard, type VirtualCard } from '#simulators/card/virtual-card.ts';

/** Path of a file of the deck of virtual cards. */
export function deckFile(name: string): string {
  return fileURLToPath(new URL(`../../src/simulators/card/decks/${name}.yaml`, import.meta.url));
}

/** A fresh card of the deck, its PIN counters as new. */
export function deckCard(name: string): Promise<VirtualCard> {
  return loadVirtualCard(deckFile(name));
}

/** Path of a shipped card profile. */
export function profileFile(name: string): string {
  return fileURLToPath(new URL(`../../device-config/card-profiles/${name}.yaml`, import.meta.url));
}

/** The shipped synthetic profiles, those that prove more before those that prove less. */
export function syntheticProfiles(): Promise<CardProfile[]> {
  return Promise.all(
    ['synthetic-type-a', 'synthetic-type-d', 'synthetic-type-c'].map(async (name) =>
      parseCardProfile(parse(await readFile(profileFile(name), 'utf8')), name),
    ),
  );
}
