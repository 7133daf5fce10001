import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';

const programs = '/usr/lib/postgresql';
/** the account that owns nothing */
const nobody = { uid: 65_534, gid: 65_534 };
/** of every account of the cluster */
const password = 'correct horse battery staple';
type Account = Partial<typeof nobody>;

/** A PostgreSQL server of its own, reached through a socket in a temporary folder; no port is opened. */
export interface PostgresCluster {
  /** `host` is the folder of the socket; the account may make schemas and roles, as that of a real installation */
  readonly access: {
    readonly host: string;
    readonly port: number;
    readonly database: string;
    readonly user: string;
    readonly password: () => Promise<string>;
  };
  /** runs statements as the owner of the whole cluster */
  administer(...statements: readonly string[]): Promise<void>;
  /** ends the server as a crash does, and starts it again */
  crash(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a cluster as an unprivileged user; fails where Debian's package `postgresql` is missing. */
export async function startPostgres(): Promise<PostgresCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'kazasu-postgres-'));
  const data = join(folder, 'data');
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, password);
  // PostgreSQL refuses to run as root
  const as: Account = process.getuid?.() === 0 ? nobody : {};
  if (as.uid !== undefined && as.gid !== undefined) chownSync(folder, as.uid, as.gid);
  await ended(
    spawn(
      program('initdb'),
      [
        ...['-D', data, '-U', 'owner', '--locale=C.UTF-8', '--no-sync'],
        ...['--auth=scram-sha-256', `--pwfile=${passwordFile}`],
      ],
      { ...as, cwd: folder, stdio: 'ignore' },
    ),
  );
  let server = await serve(data, folder, as);
  const owner = { host: folder, port: 5432, database: 'postgres', user: 'owner', password };
  const administer = async (...statements: readonly string[]) => {
    const client = new pg.Client(owner);
    await client.connect();
    for (const statement of statements) await client.query(statement);
    await client.end();
  };
  await administer(
    `create role kazasu login noinherit createrole password '${password}'`,
    'create database kazasu owner kazasu',
  );
  const end = async (signal: NodeJS.Signals) => {
    const over = new Promise((resolve) => server.once('exit', resolve));
    server.kill(signal);
    await over;
  };
  return {
    access: { host: folder, port: 5432, database: 'kazasu', user: 'kazasu', password: async () => password },
    administer,
    crash: () => end('SIGQUIT'),
    restart: async () => {
      server = await serve(data, folder, as);
    },
    stop: async () => {
      await end('SIGQUIT');
      rmSync(folder, { recursive: true });
    },
  };
}

async function serve(data: string, folder: string, as: Account): Promise<ChildProcess> {
  const settings = ['listen_addresses=', 'max_connections=60', 'shared_buffers=64MB'];
  const server = spawn(
    program('postgres'),
    ['-D', data, '-k', folder, ...settings.flatMap((setting) => ['-c', setting])],
    { ...as, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  await new Promise<void>((resolve, reject) => {
    server.once('exit', () => reject(new Error(`PostgreSQL did not start:\n${said}`)));
    server.stderr?.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_000);
      if (said.includes('database system is ready to accept connections')) resolve();
    });
  });
  return server;
}

function program(name: string): string {
  const versions = existsSync(programs) ? readdirSync(programs).sort((a, b) => Number(b) - Number(a)) : [];
  const version = versions.find((one) => existsSync(join(programs, one, 'bin', name)));
  if (version === undefined) throw new Error(`${name} is missing; scripts/setup --test installs postgresql`);
  return join(programs, version, 'bin', name);
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`${child.spawnfile} ended with ${code}`)),
    );
  });
}
