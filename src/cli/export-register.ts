import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '#core/bytes/bytes.ts';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';

/** A card in the register; names of cards, never keys. */
export interface RegisteredCard {
  readonly profileId: string;
  readonly keyVersion: number;
  readonly diversifier: Uint8Array;
}

export const registerHeader = 'profile,key_version,diversifier';

/**
 * Notes at the centre whose keys went to which terminal, before they go: a list for each export, in a folder for each
 * terminal, so that the loss of a terminal tells which cards to give new keys.
 */
export async function registerExport(
  register: string,
  about: { readonly terminal: string; readonly exportId: string },
  cards: readonly RegisteredCard[],
): Promise<void> {
  const folder = join(register, about.terminal);
  await mkdir(folder, { mode: 0o700, recursive: true });
  const lines = cards.map((card) => `${card.profileId},${card.keyVersion},${toHex(card.diversifier)}`);
  const text = `${[registerHeader, ...lines].join('\n')}\n`;
  await writeFile(join(folder, `${about.exportId}.csv`), text, { mode: 0o600, flag: 'wx', flush: true });
}

/** Every card whose keys were ever exported to a terminal, each once, as lines of a list. Rejects with `argument-invalid` for one that got none. */
export async function exportedTo(register: string, terminal: string): Promise<readonly string[]> {
  const folder = join(register, terminal);
  const files = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw unreadable(folder, error);
    throw new Fault('argument-invalid', `the register ${register} knows no export to terminal ${terminal}`);
  });
  const cards = new Set<string>();
  for (const file of files.filter((name) => name.endsWith('.csv')).sort()) {
    const lines = (await readFile(join(folder, file), 'utf8')).split('\n');
    for (const line of lines.slice(1)) if (line !== '') cards.add(line);
  }
  return [...cards].sort();
}
