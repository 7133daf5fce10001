import { type Dialect, type Kysely, PostgresDialect, type PostgresPoolClient, sql } from 'kysely';
import pg from 'pg';
import { Fault } from '#core/fault.ts';
import type { DatabasePlace } from '#ports/database-place.ts';
import { runClient } from './client-programs.ts';

/** How the server reaches PostgreSQL; `host` may be the folder of a unix socket. */
export interface PostgresAccess {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password?: () => Promise<string>;
  /** `caFile` has the same as `ca`, for programs of PostgreSQL */
  readonly tls?: { readonly ca: string; readonly caFile: string };
  /** connections at most for each database of each organization */
  readonly connections: number;
}

const connectWithinMs = 5_000;
const idleAfterMs = 30_000;
const bigint = 20;

/**
 * What bounds how long somebody who is gone holds up the others. A client that is silent within a transaction loses it,
 * with what it has locked, before those who wait for it give up; a server that is gone is found by what it answers.
 */
const bounds = {
  idle_in_transaction_session_timeout: '10s',
  lock_timeout: '20s',
  statement_timeout: '60s',
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '30s',
};
const answerWithinMs = 70_000;
const keepAliveAfterMs = 10_000;
/** begins a transaction that may take as long as it needs */
const patiently = 'set local statement_timeout = 0';

/**
 * The databases of the issuance server as schemas of one PostgreSQL database, each with a role of its own that owns
 * it. The account that connects inherits nothing: a connection takes the role of its schema at its very beginning and
 * has no rights anywhere else. Row-level security is the second line: a table shows its rows to its role alone,
 * whatever somebody grants by mistake.
 */
export class PostgresDatabases {
  readonly copyForm = 'pgdump';
  readonly #access: PostgresAccess;

  constructor(parts: { readonly access: PostgresAccess }) {
    this.#access = parts.access;
  }

  async open(place: DatabasePlace) {
    const name = schemaOf(place);
    await this.#makeWhereAbsent(name);
    const pool = this.#pool(this.#access.connections, `-c role=${name} -c search_path=${name}`);
    return {
      dialect: new PostgresDialect({
        pool: {
          options: {},
          connect: async () => guardedClient(await connected(pool)),
          end: () => pool.end(),
        },
      }) as Dialect,
      types: {
        text: sql`text collate "C"`,
        integer: 'bigint',
        bytes: 'bytea',
        tableEnd: '',
        heapEnd: '',
      } as const,
      lock: async (db: Kysely<unknown>) => {
        // new tables and columns of a large database take their time
        await sql.raw(patiently).execute(db);
        await sql.raw('set local lock_timeout = 0').execute(db);
        await sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`.execute(db);
      },
      protect: async (db: Kysely<unknown>) => {
        const tables = await sql<{ name: string }>`
          select relname as name from pg_class where relnamespace = ${name}::regnamespace
          and relkind in ('r', 'p') and not (relrowsecurity and relforcerowsecurity)`.execute(db);
        for (const table of tables.rows) await protectTable(db, table.name, name);
      },
    };
  }

  async save(place: DatabasePlace, file: string): Promise<void> {
    const name = schemaOf(place);
    await runClient(this.#access, 'pg_dump', [
      ...['--format=custom', `--schema=${name}`, `--role=${name}`, '--enable-row-security', `--file=${file}`],
    ]);
  }

  async check(file: string): Promise<void> {
    await runClient(this.#access, 'pg_restore', ['--file=/dev/null', file]);
  }

  async restore(place: DatabasePlace, file: string): Promise<void> {
    const name = schemaOf(place);
    await this.#makeWhereAbsent(name);
    if (await this.#hasTables(name))
      throw new Fault('argument-invalid', `there are tables in the schema ${name} already`);
    const into = [`--dbname=${this.#access.database}`, '--exit-on-error', '--single-transaction'];
    const as = [`--role=${name}`, '--no-owner', `--schema=${name}`];
    await runClient(this.#access, 'pg_restore', [...into, ...as, file]);
    // what is not of this organization restores nothing
    if (!(await this.#hasTables(name)))
      throw new Fault('backup-invalid', `${file} has nothing of the schema ${name}`);
  }

  async #hasTables(name: string): Promise<boolean> {
    const pool = this.#pool(1, '');
    const client = await connected(pool).catch(async (error: unknown) => {
      await pool.end();
      throw error;
    });
    try {
      const found = await client.query(
        'select 1 from pg_class where relnamespace = $1::regnamespace limit 1',
        [name],
      );
      return found.rowCount !== 0;
    } catch (error) {
      throw faultOf(error);
    } finally {
      client.release(true);
      await pool.end();
    }
  }

  async #makeWhereAbsent(name: string): Promise<void> {
    const pool = this.#pool(1, '');
    const client = await connected(pool).catch(async (error: unknown) => {
      await pool.end();
      throw error;
    });
    try {
      await client.query('begin');
      await client.query('set local lock_timeout = 0');
      // of two processes that make it at once, one waits
      await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [name]);
      const role = await client.query('select 1 from pg_roles where rolname = $1', [name]);
      if (role.rowCount === 0) {
        await client.query(`create role ${name} nologin noinherit`);
        await client.query(`grant ${name} to current_user`);
      }
      await client.query(`create schema if not exists ${name} authorization ${name}`);
      await client.query('commit');
    } catch (error) {
      throw faultOf(error);
    } finally {
      client.release(true);
      await pool.end();
    }
  }

  #pool(max: number, options: string): pg.Pool {
    const { host, port, database, user, password, tls } = this.#access;
    const pool = new pg.Pool({
      host,
      port,
      database,
      user,
      ...(password && { password }),
      ...(tls && { ssl: { ca: tls.ca, rejectUnauthorized: true } }),
      max,
      options: `${options} ${Object.entries(bounds)
        .map(([name, value]) => `-c ${name}=${value}`)
        .join(' ')}`,
      keepAlive: true,
      keepAliveInitialDelayMillis: keepAliveAfterMs,
      connectionTimeoutMillis: connectWithinMs,
      idleTimeoutMillis: idleAfterMs,
      allowExitOnIdle: true,
      types: {
        getTypeParser: (type: number) => (type === bigint ? Number : pg.types.getTypeParser(type)),
      },
    });
    // a connection that the server ends while nothing is asked is replaced at the next use, which reports what is wrong;
    // one that is lost while it is used rejects what it was asked
    pool.on('error', () => undefined);
    pool.on('connect', (client) => client.on('error', () => undefined));
    return pool;
  }
}

/** Name of the schema and of its role: of letters, digits and `_` alone. */
export function schemaOf(place: DatabasePlace): string {
  return place.kind === 'platform' ? 'kazasu_platform' : `kazasu_${place.organization.number}_${place.kind}`;
}

async function protectTable(db: Kysely<unknown>, table: string, role: string): Promise<void> {
  const [name, owner] = [sql.table(table), sql.lit(role)];
  await sql`alter table ${name} enable row level security`.execute(db);
  await sql`alter table ${name} force row level security`.execute(db);
  await sql`create policy own_role on ${name} using (current_user = ${owner}) with check (current_user = ${owner})`.execute(
    db,
  );
}

async function connected(pool: pg.Pool): Promise<pg.PoolClient> {
  try {
    return await pool.connect();
  } catch (error) {
    throw faultOf(error);
  }
}

function guardedClient(client: pg.PoolClient): PostgresPoolClient {
  let lost: unknown;
  let withinMs = answerWithinMs;
  const onError = (error: unknown) => {
    lost ??= faultOf(error);
  };
  client.on('error', onError);
  const query = async (text: string, parameters: readonly unknown[]) => {
    // one that does not answer would be asked to roll back, and waited for again
    if (lost) throw lost;
    if (text === patiently) withinMs = 0;
    try {
      const within = withinMs > 0 && { query_timeout: withinMs };
      return await client.query({ text, values: [...parameters], ...within });
    } catch (error) {
      const fault = faultOf(error);
      if (fault instanceof Fault) lost ??= fault;
      throw fault;
    }
  };
  return {
    query: query as unknown as PostgresPoolClient['query'],
    release: (destroy) => {
      client.off('error', onError);
      client.release(destroy === true || lost !== undefined);
    },
  };
}

/**
 * A server that is away, refuses the account, is a standby (25006), took too long (25P03, 55P03, 57014) or ended this
 * change for that of another (40001, 40P01) is a fault; an error in a statement is a bug and stays what it is.
 */
function faultOf(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const away =
    /^(08|28|53|57P|57014|55P03|25P03|25006|40001|40P01)/.test(code) ||
    /^E[A-Z]+$/.test(code) ||
    (error instanceof Error &&
      !(error instanceof pg.DatabaseError) &&
      /connect|timeout/i.test(error.message));
  return away
    ? new Fault('database-unavailable', `PostgreSQL does not serve (${code || 'no connection'})`, {
        cause: error,
      })
    : error;
}
