import { spawn } from 'node:child_process';
import { Fault } from '#core/fault.ts';
import type { PostgresAccess } from './issuance-databases.ts';

const shownCharacters = 500;

/**
 * Runs a program of PostgreSQL's client package on the database. Its password travels in the environment, which is
 * for its own user to see. Rejects with `backup-failed`: the program is missing, or ended with an error.
 */
export async function runClient(
  access: PostgresAccess,
  program: 'pg_dump' | 'pg_restore',
  words: readonly string[],
): Promise<void> {
  const { host, port, database, user, password, tls } = access;
  const child = spawn(program, words, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      PATH: process.env.PATH,
      LC_ALL: 'C.UTF-8',
      PGHOST: host,
      PGPORT: String(port),
      PGDATABASE: database,
      PGUSER: user,
      PGCONNECT_TIMEOUT: '10',
      ...(password && { PGPASSWORD: await password() }),
      ...(tls && { PGSSLMODE: 'verify-full', PGSSLROOTCERT: tls.caFile }),
    },
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(0, shownCharacters);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => {
      const why = `${program} could not be run (${(error as NodeJS.ErrnoException).code}); install postgresql-client`;
      reject(new Fault('backup-failed', why, { cause: error }));
    });
    child.once('close', resolve);
  });
  if (code !== 0)
    throw new Fault('backup-failed', `${program} ended with ${code}: ${said.trim().replaceAll('\n', ' ')}`);
}
