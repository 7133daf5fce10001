import { rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { accessMethods } from '#core/card/reading.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { loadVirtualCard, type VirtualCard } from '#simulators/card/virtual-card.ts';
import { readTextFile } from './files.ts';
import type { DeckCard } from './site-parts.ts';

const text = z.strictObject({ ja: z.string().min(1), en: z.string().min(1) });

const deckSchema = z.strictObject({
  formatVersion: z.literal(1),
  cards: z
    .array(
      z.strictObject({
        id: z.string().regex(/^[a-z0-9-]{1,32}$/),
        /** description of the virtual card, relative to the deck file */
        file: z.string().min(1),
        title: text,
        note: text,
        methods: z.array(z.enum(accessMethods)).min(1),
        /** printed on the card: a toy */
        pin: z
          .string()
          .regex(/^[0-9]{4,12}$/)
          .optional(),
        hue: z.int().min(0).max(359),
      }),
    )
    .min(1),
});

/** The virtual cards of the site. PIN counters are kept in the data directory until the deck is reset. */
export class Deck {
  readonly cards: readonly DeckCard[];
  readonly #files: ReadonlyMap<string, string>;
  readonly #stateDirectory: string;
  readonly #virtual = new Map<string, VirtualCard>();

  constructor(parts: {
    cards: readonly DeckCard[];
    files: ReadonlyMap<string, string>;
    stateDirectory: string;
  }) {
    this.cards = parts.cards;
    this.#files = parts.files;
    this.#stateDirectory = parts.stateDirectory;
  }

  /** The card itself. Throws when there is none of that id. */
  virtual(cardId: string): VirtualCard {
    const card = this.#virtual.get(cardId);
    if (!card) throw new Error(`no card ${cardId} in the deck`);
    return card;
  }

  /** Makes the cards as they were left. Rejects with `file-unreadable` or `config-invalid`. */
  async load(): Promise<void> {
    for (const [cardId, file] of this.#files) {
      this.#virtual.set(cardId, await loadVirtualCard(file, { stateFile: this.#stateFile(cardId) }));
    }
  }

  /** Makes every card anew as shipped; none may lie on a reader. */
  async reset(): Promise<void> {
    for (const cardId of this.#files.keys()) await rm(this.#stateFile(cardId), { force: true });
    await this.load();
  }

  #stateFile(cardId: string): string {
    return join(this.#stateDirectory, `${cardId}.json`);
  }
}

/** Reads a deck file. Rejects with a Fault `config-invalid` or `file-unreadable`. */
export async function openDeck(file: string, stateDirectory: string): Promise<Deck> {
  const { cards } = parseYaml(await readTextFile(file), file, deckSchema, 'config-invalid');
  return new Deck({
    cards: cards.map(({ id, title, note, methods, pin, hue }) => ({
      cardId: id,
      title,
      note,
      methods,
      hue,
      ...(pin && { pin }),
    })),
    files: new Map(cards.map((card) => [card.id, resolve(dirname(file), card.file)])),
    stateDirectory,
  });
}
