import type { Kysely } from 'kysely';
import { checkpointBytes } from '#core/journal/checkpoint.ts';
import { parseEntry } from '#core/journal/entry.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { type JournalItem, verifyJournal } from '#core/journal/verify.ts';
import type { VerifyReport } from '#core/journal/verify-report.ts';
import type { Clock } from '#ports/clock.ts';
import type { Signing } from '#ports/signing.ts';
import type { CommonTables } from '../storage/common-tables.ts';
import { auditTerminal } from '../storage/ledger.ts';

const pageSize = 500;

/** An entry as it is shown: who did what, with the personal values that are still kept. */
export interface AuditEntry {
  readonly sequence: number;
  readonly atMs: number;
  readonly body: { readonly [key: string]: JsonValue };
  readonly personal: Readonly<Record<string, string>>;
}

/** The record of what administrators did, of one organization or of the platform. */
export class AuditJournal {
  readonly #db: Kysely<CommonTables>;

  constructor(parts: { readonly db: Kysely<CommonTables> }) {
    this.#db = parts.db;
  }

  /** At most `limit` entries before number `before`, newest first. */
  async page({ before, limit }: { readonly before: number; readonly limit: number }): Promise<AuditEntry[]> {
    const rows = await this.#db
      .selectFrom('audit')
      .selectAll()
      .where('sequence', '<', before)
      .orderBy('sequence', 'desc')
      .limit(limit)
      .execute();
    const personal = await this.#personal(rows.map((row) => row.sequence));
    return rows.map(({ sequence, raw }) => {
      const entry = parseEntry(raw);
      const values = personal.filter((value) => value.sequence === sequence);
      return {
        sequence,
        atMs: entry?.atMs ?? 0,
        body: entry?.body ?? {},
        personal: Object.fromEntries(values.map(({ field, value }) => [field, value])),
      };
    });
  }

  /** Walks all of it; `publicKeys` as `journal verify` takes them. */
  async verify(publicKeys: readonly (Uint8Array | string)[]): Promise<VerifyReport> {
    const state = await this.#db.selectFrom('server_state').selectAll().executeTakeFirstOrThrow();
    const { audit_incarnation: incarnation, audit_sequence: sequence, audit_hash: hash } = state;
    return verifyJournal(this.#items(), {
      publicKeys,
      heads: sequence === 0 ? [] : [{ incarnation, sequence, hash }],
      personalIncluded: true,
      // an end that no checkpoint signs yet is proved by the head that the database keeps
      checkpointEveryEntries: Number.POSITIVE_INFINITY,
    });
  }

  /** Signs the present head, unless it is signed already. Resolves to whether there was anything to sign. */
  async seal(signing: Signing, clock: Clock): Promise<boolean> {
    const state = await this.#db.selectFrom('server_state').selectAll().executeTakeFirstOrThrow();
    const { audit_incarnation: incarnation, audit_sequence: sequence, audit_hash: hash } = state;
    const last = await this.#db
      .selectFrom('audit_checkpoints')
      .select((columns) => columns.fn.max('sequence').as('sequence'))
      .executeTakeFirst();
    if (sequence === 0 || last?.sequence === sequence) return false;
    const head = { terminal: auditTerminal, incarnation, sequence, hash };
    const raw = checkpointBytes(head, clock.utcMs(), signing.keyId());
    const signature = await signing.sign(raw);
    await this.#db.transaction().execute(async (transaction) => {
      const row = { sequence, raw, signature };
      await transaction
        .insertInto('audit_checkpoints')
        .values(row)
        .onConflict((at) => at.doNothing())
        .execute();
    });
    return true;
  }

  async *#items(): AsyncIterable<JournalItem> {
    for (let after = 0; ; ) {
      const rows = await this.#db
        .selectFrom('audit')
        .selectAll()
        .where('sequence', '>', after)
        .orderBy('sequence')
        .limit(pageSize)
        .execute();
      if (rows.length === 0) return;
      const numbers = rows.map((row) => row.sequence);
      const personal = await this.#personal(numbers);
      const checkpoints = await this.#db
        .selectFrom('audit_checkpoints')
        .selectAll()
        .where('sequence', 'in', numbers)
        .execute();
      for (const { sequence, raw, hash } of rows) {
        const values = personal.filter((value) => value.sequence === sequence);
        yield { kind: 'entry', raw, hash, personal: values };
        for (const checkpoint of checkpoints) {
          if (checkpoint.sequence === sequence) yield { kind: 'checkpoint', ...checkpoint };
        }
      }
      after = numbers.at(-1) ?? after;
    }
  }

  async #personal(sequences: readonly number[]) {
    if (sequences.length === 0) return [];
    return this.#db
      .selectFrom('audit_personal')
      .selectAll()
      .where('sequence', 'in', [...sequences])
      .orderBy('sequence')
      .orderBy('field')
      .execute();
  }
}
