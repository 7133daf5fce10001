import {
  hasUserNumberFormat,
  individualNumberRefused,
  looksLikeIndividualNumber,
} from '#core/card/user-number.ts';
import type { HolderColumn } from './holder-columns.ts';
import { parseLimit } from './holder-dates.ts';
import type { HolderRow, ImportMode, ImportProblem } from './holder-row.ts';
import type { RecordStatus } from './policy.ts';
import type { RulesProfile, SiteRules } from './site-rules.ts';

const statusWords: ReadonlyMap<string, RecordStatus> = new Map([
  ['active', 'active'],
  ['有効', 'active'],
  ['suspended', 'suspended'],
  ['停止', 'suspended'],
  ['一時停止', 'suspended'],
  ['ended', 'ended'],
  ['終了', 'ended'],
  ['失効', 'ended'],
]);
/** clears in a delta what an empty cell would leave as it is */
const noneWords: ReadonlySet<string> = new Set(['none', 'なし']);

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type Cells = Partial<Record<HolderColumn, string>>;

/** So many holders, or such a share of those who have access, may lose it without a question. */
export const unaskedLosses = 10;
const unaskedShare = 0.05;

/** Whether so many lose access, of `ableBefore` who have it, that a person must confirm it. */
export function isMassRemoval(losingAccess: number, ableBefore: number): boolean {
  return losingAccess > unaskedLosses && losingAccess > unaskedShare * ableBefore;
}

export const holderIdRule = 'must be 1 to 64 letters, digits, ".", "_", "@", "/" or "-"';

export function isHolderId(text: string): boolean {
  return /^[\p{L}\p{N}][\p{L}\p{M}\p{N}._@/-]{0,63}$/u.test(text);
}

/**
 * Checks the lines of a list of holders, each on its own, against the rules of the site. What a line means:
 * - the holder is `holder`, or where that is empty the user number itself, with the organization before it where
 *   the card is another organization's;
 * - an empty cell means in a complete list "active", "no limit" or "none"; in a delta it leaves what is there, and
 *   `none` (なし) clears;
 * - the diversifier names one physical card; without it the line stands for any card with the user number.
 */
export class HolderRowReader {
  readonly #columns: readonly HolderColumn[];
  readonly #mode: ImportMode;
  readonly #rules: SiteRules;
  readonly #profiles: ReadonlyMap<string, RulesProfile>;
  readonly #groups: ReadonlySet<string>;
  /** lists repeat a few dates over and over, and time zones are slow to ask */
  readonly #limits = new Map<string, number | undefined>();

  constructor(parts: { columns: readonly HolderColumn[]; mode: ImportMode; rules: SiteRules }) {
    this.#columns = parts.columns;
    this.#mode = parts.mode;
    this.#rules = parts.rules;
    this.#profiles = new Map(parts.rules.profiles.map((profile) => [profile.id, profile]));
    this.#groups = new Set(parts.rules.groups);
  }

  /** The row of a line, or everything wrong with it. */
  read(line: number, cells: readonly string[]): HolderRow | readonly ImportProblem[] {
    const problems: string[] = [];
    const named = this.#name(cells, problems);
    if (problems.length === 0) {
      const row = this.#row(line, named, problems);
      if (row && problems.length === 0) return row;
    }
    return problems.map((text) => ({ line, text }));
  }

  /** Cells by column, without white space around them; nothing that passes for an Individual Number gets further. */
  #name(cells: readonly string[], problems: string[]): Cells {
    if (cells.length !== this.#columns.length) {
      const hint = cells.length > this.#columns.length ? '; put a cell that contains a comma in quotes' : '';
      problems.push(`${cells.length} columns instead of ${this.#columns.length}${hint}`);
      return {};
    }
    const named: Cells = {};
    for (const [index, column] of this.#columns.entries()) {
      const cell = (cells[index] ?? '').trim();
      if (cell.length >= 12 && looksLikeIndividualNumber(cell)) {
        problems.push(`${column} ${individualNumberRefused}; use the organization's own numbers`);
      }
      named[column] = cell;
    }
    return named;
  }

  #row(line: number, cells: Cells, problems: string[]): HolderRow | undefined {
    const profile = this.#profile(cells.profile ?? '', problems);
    const userNumber = cells.user_number ?? '';
    if (userNumber === '') problems.push('user_number is empty');
    else if (profile && !hasUserNumberFormat(profile.userNumberFormat, userNumber)) {
      problems.push(formatProblem(profile, userNumber));
    }
    const holderId = this.#holderId(cells.holder ?? '', profile, userNumber, problems);
    const row: Writable<HolderRow> = { line, holderId, profileId: profile?.id ?? '', userNumber };
    this.#readCard(row, cells, problems);
    this.#readHolder(row, cells, problems);
    return row;
  }

  #profile(cell: string, problems: string[]): RulesProfile | undefined {
    if (cell === '' && this.#rules.profiles.length === 1) return this.#rules.profiles[0];
    const profile = this.#profiles.get(cell);
    if (!profile) {
      const known = [...this.#profiles.keys()].join(', ');
      problems.push(
        cell === '' ? 'profile is empty' : `profile ${shown(cell)} is not in the rules (${known})`,
      );
    }
    return profile;
  }

  #holderId(cell: string, profile: RulesProfile | undefined, userNumber: string, problems: string[]): string {
    if (cell !== '') {
      if (!isHolderId(cell)) {
        problems.push(`holder ${holderIdRule}`);
      }
      return cell;
    }
    const own = !profile || profile.organization === this.#rules.organization;
    return own ? userNumber : `${profile.organization}/${userNumber}`;
  }

  #readCard(row: Writable<HolderRow>, cells: Cells, problems: string[]): void {
    const status = this.#status('card_status', cells.card_status ?? '', problems);
    if (status !== undefined) row.cardStatus = status;
    const version = cells.key_version ?? '';
    if (/^\d{1,3}$/.test(version) && Number(version) >= 1 && Number(version) <= 255)
      row.keyVersion = Number(version);
    else if (this.#clears(version)) row.keyVersion = null;
    else if (version !== '') problems.push('key_version must be a number from 1 to 255');
    const diversifier = cells.diversifier ?? '';
    if (/^(?:[0-9A-Fa-f]{2}){1,32}$/.test(diversifier)) row.diversifier = diversifier.toUpperCase();
    else if (diversifier !== '') problems.push('diversifier must be hexadecimal of 1 to 32 bytes');
  }

  #readHolder(row: Writable<HolderRow>, cells: Cells, problems: string[]): void {
    const status = this.#status('status', cells.status ?? '', problems);
    if (status !== undefined) row.status = status;
    const from = this.#limit('valid_from', cells.valid_from ?? '', problems);
    if (from !== undefined) row.validFromMs = from;
    const until = this.#limit('valid_until', cells.valid_until ?? '', problems);
    if (until !== undefined) row.validUntilMs = until;
    if (typeof from === 'number' && typeof until === 'number' && from >= until) {
      problems.push('valid_until is not later than valid_from');
    }
    const groups = this.#readGroups(cells.groups ?? '', problems);
    if (groups) row.groups = groups;
  }

  #status(column: 'status' | 'card_status', cell: string, problems: string[]): RecordStatus | undefined {
    if (cell === '') return this.#mode === 'complete' ? 'active' : undefined;
    const status = statusWords.get(cell.toLowerCase());
    if (!status)
      problems.push(`${column} ${shown(cell)} must be active (有効), suspended (停止) or ended (終了)`);
    return status;
  }

  #limit(column: 'valid_from' | 'valid_until', cell: string, problems: string[]): number | null | undefined {
    if (this.#clears(cell)) return null;
    if (cell === '') return undefined;
    const key = column + cell;
    let limit = this.#limits.get(key);
    if (limit === undefined && !this.#limits.has(key)) {
      limit = parseLimit(cell, column === 'valid_from' ? 'from' : 'until', this.#rules.timeZone);
      if (this.#limits.size < 10_000) this.#limits.set(key, limit);
    }
    if (limit === undefined) {
      problems.push(
        `${column} ${shown(cell)} is no date; write 2026-04-01, 2026-04-01 18:00 or 2026-04-01T18:00+09:00`,
      );
    }
    return limit;
  }

  #readGroups(cell: string, problems: string[]): readonly string[] | undefined {
    if (this.#clears(cell)) return [];
    if (cell === '') return undefined;
    const groups = [...new Set(cell.split(/[;；、\s]+/u).filter((name) => name !== ''))].sort();
    for (const group of groups) {
      if (!this.#groups.has(group)) {
        problems.push(`group ${shown(group)} is not in the rules; add it there or correct it`);
      }
    }
    return groups;
  }

  #clears(cell: string): boolean {
    return noneWords.has(cell.toLowerCase()) || (cell === '' && this.#mode === 'complete');
  }
}

/** A cell as a message may repeat it: not where it could be a number of a person that slipped into a wrong column. */
function shown(cell: string): string {
  return cell.length <= 40 && !/[\d０-９]{5}/u.test(cell) ? `"${cell}"` : '(not repeated here)';
}

/** Says what is wrong with a user number without repeating it. */
function formatProblem({ id, userNumberFormat }: RulesProfile, userNumber: string): string {
  const { alphabet, minimumLength, maximumLength } = userNumberFormat;
  const length =
    minimumLength === maximumLength ? `${minimumLength}` : `${minimumLength} to ${maximumLength}`;
  const wanted = `user_number does not have the format of profile ${id} (${length} ${alphabet})`;
  if (/[０-９Ａ-Ｚａ-ｚ]/u.test(userNumber)) return `${wanted}; write it in half-width characters`;
  if (/^\d(?:\.\d+)?E\+\d+$/i.test(userNumber)) {
    return `${wanted}; a spreadsheet has turned it into a rounded number, format the column as text`;
  }
  if (/^\d+$/.test(userNumber) && userNumber.length < minimumLength) {
    return `${wanted}; a spreadsheet may have dropped leading zeros, format the column as text`;
  }
  return wanted;
}
