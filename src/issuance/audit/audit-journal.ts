import type { Kysely } from 'kysely';
import { toHex } from '#core/bytes/bytes.ts';
import { isSignedBy, parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { digest } from '#core/crypto/digest.ts';
import { Fault } from '#core/fault.ts';
import { checkpointBytes } from '#core/journal/checkpoint.ts';
import { noPrevious, parseEntry } from '#core/journal/entry.ts';
import type { JournalHead, JsonValue } from '#core/journal/record.ts';
import { type JournalItem, verifyJournal } from '#core/journal/verify.ts';
import type { VerifyReport } from '#core/journal/verify-report.ts';
import type { Clock } from '#ports/clock.ts';
import type { SealedHeads } from '#ports/sealed-heads.ts';
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

/** What signs the record of what was done. */
export interface Sealing {
  readonly signing: Signing;
  readonly clock: Clock;
  readonly heads: SealedHeads;
}

/** The record of what administrators did, of one organization or of the platform. */
export class AuditJournal {
  readonly #db: Kysely<CommonTables>;
  readonly #name: string;

  /** `name`: as what was signed last of it is kept */
  constructor(parts: { readonly db: Kysely<CommonTables>; readonly name: string }) {
    this.#db = parts.db;
    this.#name = parts.name;
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

  /**
   * Signs the present head, unless it is signed already. Resolves to whether there was anything to sign. Rejects with
   * `journal-broken`, and signs nothing, where it does not follow from what was signed last: whoever can write to the
   * database must not get a record of his own signed.
   */
  async seal({ signing, clock, heads }: Sealing): Promise<boolean> {
    const state = await this.#db.selectFrom('server_state').selectAll().executeTakeFirstOrThrow();
    const { audit_incarnation: incarnation, audit_sequence: sequence, audit_hash: hash } = state;
    const kept = await heads.last(this.#name);
    if (sequence === 0 && !kept) return false;
    const head = { terminal: auditTerminal, incarnation, sequence, hash };
    await this.#follows(kept, head);
    const last = await this.#db
      .selectFrom('audit_checkpoints')
      .selectAll()
      .where('sequence', '=', sequence)
      .executeTakeFirst();
    const key = parseDevicePublicKey(signing.publicKey());
    const signed = last !== undefined && key !== undefined && isSignedBy(key, last.raw, last.signature);
    if (!signed) {
      const raw = checkpointBytes(head, clock.utcMs(), signing.keyId());
      const row = { sequence, raw, signature: await signing.sign(raw) };
      await this.#db.transaction().execute(async (transaction) => {
        await transaction
          .insertInto('audit_checkpoints')
          .values(row)
          .onConflict((at) => at.column('sequence').doUpdateSet(row))
          .execute();
      });
    }
    if (kept?.sequence !== sequence) await heads.keep(this.#name, head);
    return !signed;
  }

  /** Walks from what was signed last to `head`. */
  async #follows(kept: JournalHead | undefined, head: JournalHead): Promise<void> {
    let at = { sequence: kept?.sequence ?? 0, hash: kept?.hash ?? noPrevious };
    const broken = () =>
      new Fault(
        'journal-broken',
        `the record of ${this.#name} does not follow from entry ${at.sequence}, which was signed before; nothing more is signed`,
      );
    if (kept) {
      const row = await this.#db
        .selectFrom('audit')
        .selectAll()
        .where('sequence', '=', kept.sequence)
        .executeTakeFirst();
      if (kept.incarnation !== head.incarnation || !row || hashOf(row.raw) !== kept.hash) throw broken();
    }
    for (let rows = await this.#after(at.sequence); rows.length > 0; rows = await this.#after(at.sequence)) {
      for (const { sequence, raw } of rows) {
        // what came since is signed the next time
        if (sequence > head.sequence) break;
        const entry = parseEntry(raw);
        if (sequence !== at.sequence + 1 || entry?.sequence !== sequence || entry.previous !== at.hash)
          throw broken();
        at = { sequence, hash: hashOf(raw) };
      }
      if (at.sequence >= head.sequence || rows.at(-1)?.sequence !== at.sequence) break;
    }
    if (at.sequence !== head.sequence || at.hash !== head.hash) throw broken();
  }

  async #after(sequence: number) {
    return this.#db
      .selectFrom('audit')
      .selectAll()
      .where('sequence', '>', sequence)
      .orderBy('sequence')
      .limit(pageSize)
      .execute();
  }

  async *#items(): AsyncIterable<JournalItem> {
    for (let after = 0; ; ) {
      const rows = await this.#after(after);
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

function hashOf(raw: Uint8Array): string {
  return toHex(digest('sha-256', raw));
}
