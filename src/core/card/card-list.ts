import { columnNames } from '#core/access/holder-columns.ts';
import { fromHex } from '#core/bytes/bytes.ts';
import { looksLikeIndividualNumber } from '#core/card/user-number.ts';

/** A card whose keys are wanted; without a version, in every version its profile lists. */
export interface ListedCard {
  readonly profileId: string;
  readonly keyVersion?: number;
  readonly diversifier: Uint8Array;
}

/** What a line of a list of cards says: a card, nothing to have keys for, or what is wrong. */
export type CardLine = ListedCard | 'no-card' | { readonly problem: string };

const columns = ['profile', 'key_version', 'diversifier'] as const;
type Column = (typeof columns)[number];

/**
 * Reads lines of a list of cards, a list of holders included: of its columns those of profile, key version and
 * diversifier count. `profiles` are the ids of those that have diversified keys.
 */
export class CardListReader {
  readonly #profiles: ReadonlySet<string>;
  readonly #index: Readonly<Record<Column, number>>;

  constructor(header: readonly string[], profiles: ReadonlySet<string>) {
    const names = header.map((cell) => cell.normalize('NFKC').trim().toLowerCase().replaceAll(/[ -]/g, '_'));
    const find = (column: Column) => names.findIndex((name) => columnNames(column).includes(name));
    this.#profiles = profiles;
    this.#index = {
      profile: find('profile'),
      key_version: find('key_version'),
      diversifier: find('diversifier'),
    };
  }

  /** The columns that are needed and not there, as a person may name them. */
  missing(): readonly string[] {
    return columns
      .filter((column) => this.#index[column] < 0)
      .map((column) => columnNames(column).join(' / '));
  }

  read(cells: readonly string[]): CardLine {
    const [profileId = '', version = '', diversifier = ''] = columns.map((column) =>
      (cells[this.#index[column]] ?? '').normalize('NFKC').trim(),
    );
    if (!this.#profiles.has(profileId) || diversifier === '') return 'no-card';
    if (looksLikeIndividualNumber(diversifier)) {
      return { problem: 'the diversifier looks like an Individual Number, which has no place here' };
    }
    if (!/^(?:[0-9A-Fa-f]{2}){4,30}$/.test(diversifier)) {
      return { problem: 'the diversifier is not hexadecimal of 4 to 30 bytes' };
    }
    if (version === '') return { profileId, diversifier: fromHex(diversifier) };
    const keyVersion = Number(version);
    if (!/^\d{1,3}$/.test(version) || keyVersion < 1 || keyVersion > 255) {
      return { problem: 'the key version is no number from 1 to 255' };
    }
    return { profileId, keyVersion, diversifier: fromHex(diversifier) };
  }
}
