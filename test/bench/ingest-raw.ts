import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import pg from 'pg';
import { PostgresDatabases, schemaOf } from '#adapters/postgres/issuance-databases.ts';
import { journalSettings, SqliteDatabases } from '#adapters/sqlite/issuance-databases.ts';
import { fromHex } from '#core/bytes/bytes.ts';
import { decodeJournalBatch } from '#core/sync/journal-batch.ts';
import { checkBatch } from '#issuance/journal/checked-batch.ts';
import { Databases } from '#issuance/storage/databases.ts';
import type { PostgresCluster } from '../issuance/postgres-cluster.ts';
import { batchEntries, type MadeBatch } from './ingest-data.ts';

/** What a database does with rows of journals alone: those of one commit a transaction, in the fastest statements known. */

type Row = readonly (string | number | Uint8Array | null)[];
export interface Rows {
  readonly entries: readonly Row[];
  readonly personal: readonly Row[];
  readonly checkpoints: readonly Row[];
}

const tables = {
  entries: 'bigint bigint bytea bytea text bigint text text bigint'.split(' '),
  personal: 'bigint bigint text bytea text'.split(' '),
  checkpoints: 'bigint bigint bytea bytea'.split(' '),
} as const;
const tableNames = ['entries', 'personal', 'checkpoints'] as const;
const indexes = [
  'entries_by_time',
  'entries_by_door',
  'entries_by_tap',
  'entries_by_kind',
  'personal_by_value',
];
const rowsOfStatement = 100;

/** The rows that were stored, in commits of the sizes that there were, under another number of a chain. */
export function rowsOf(
  taken: readonly MadeBatch[],
  commits: readonly number[],
  keys: readonly { readonly terminal: string }[],
): readonly Rows[] {
  const chains = new Map(keys.map(({ terminal }) => [terminal, randomInt(2 ** 48 - 1)]));
  const all = taken.map(({ terminal, payload }) => {
    const read = decodeJournalBatch(payload, { organization: 'city', terminal });
    if (read.kind === 'refused') throw new Error(read.reason);
    const chain = chains.get(terminal) ?? 0;
    const checked = checkBatch(read.value, new Map());
    return {
      entries: checked.entries.map((one) => [
        ...[chain, one.sequence, one.raw, fromHex(one.hashText), one.kind ?? '', one.atMs ?? 0],
        ...[one.tapId ?? null, one.door ?? null, 0],
      ]),
      personal: checked.entries.flatMap(({ sequence, personal }) =>
        personal.map(({ field, salt, value }) => [chain, sequence, field, salt, JSON.stringify(value)]),
      ),
      checkpoints: read.value.checkpoints.map(({ raw, signature }) => [
        ...[chain, read.value.first + batchEntries - 1, raw, signature],
      ]),
    };
  });
  let at = 0;
  return commits.map((entries) => {
    const count = Math.round(entries / batchEntries);
    const own = all.slice(at, at + count);
    at += count;
    return {
      entries: own.flatMap((one) => one.entries),
      personal: own.flatMap((one) => one.personal),
      checkpoints: own.flatMap((one) => one.checkpoints),
    };
  });
}

/** Seconds that it took in a file of SQLite below `directory`, made as the server makes it; `indexed`: beside the keys. */
export async function rawSqlite(
  directory: string,
  commits: readonly Rows[],
  indexed: boolean,
): Promise<number> {
  const databases = new Databases({ source: new SqliteDatabases({ directory }) });
  await databases.journal({ id: 'raw', number: 1 });
  await databases.stop();
  const db = new Database(join(directory, 'organizations/raw/journal.sqlite'));
  // as the server opens it
  for (const setting of ['synchronous = FULL', ...journalSettings]) db.pragma(setting);
  if (!indexed) for (const index of indexes) db.exec(`drop index ${index}`);
  const inserts = tableNames.map((name) => {
    const row = `(${tables[name].map(() => '?').join(', ')})`;
    const of = (count: number) =>
      db.prepare<unknown[]>(`insert or fail into ${name} values ${Array(count).fill(row).join(', ')}`);
    return { name, one: of(1), many: of(rowsOfStatement) };
  });
  const began = performance.now();
  for (const rows of commits) {
    db.transaction(() => {
      for (const { name, one, many } of inserts) {
        let at = 0;
        for (; at + rowsOfStatement <= rows[name].length; at += rowsOfStatement)
          many.run(...rows[name].slice(at, at + rowsOfStatement).flat());
        for (; at < rows[name].length; at += 1) one.run(...(rows[name][at] ?? []));
      }
    }).immediate();
  }
  const seconds = (performance.now() - began) / 1_000;
  db.close();
  return seconds;
}

/** The same in a schema of its own. */
export async function rawPostgres(
  access: PostgresCluster['access'],
  commits: readonly Rows[],
  indexed: boolean,
): Promise<number> {
  const place = { kind: 'journal', organization: { id: 'raw', number: indexed ? 998 : 999 } } as const;
  const databases = new Databases({
    source: new PostgresDatabases({ access: { ...access, connections: 1 } }),
  });
  await databases.journal(place.organization);
  await databases.stop();
  const schema = schemaOf(place);
  const { host, port, database, user } = access;
  const client = new pg.Client({
    ...{ host, port, database, user, password: await access.password() },
    options: `-c role=${schema} -c search_path=${schema}`,
  });
  await client.connect();
  if (!indexed) for (const index of indexes) await client.query(`drop index ${index}`);
  const began = performance.now();
  for (const rows of commits) {
    await client.query('begin');
    for (const name of tableNames) {
      const types = tables[name];
      const arrays = types.map((type, at) => `$${at + 1}::${type}[]`).join(', ');
      const columns = types.map((_, at) => rows[name].map((row) => row[at]));
      await client.query(`insert into ${name} select * from unnest(${arrays})`, columns);
    }
    await client.query('commit');
  }
  const seconds = (performance.now() - began) / 1_000;
  await client.end();
  return seconds;
}
