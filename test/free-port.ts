import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** below those that the system gives out by itself, to whoever asks for any */
const lowest = 16_384;
/** of each worker of the test runner */
const portsOfOne = 1_024;
const workers = 16;
const given = new Set<number>();

/** A port of this machine for a program of a test: no other test and no connection is given it meanwhile. */
export async function freePort(): Promise<number> {
  const first = lowest + (Number(process.env.VITEST_POOL_ID ?? 0) % workers) * portsOfOne;
  for (;;) {
    const port = first + randomInt(portsOfOne);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port);
  const free = await Promise.race([
    once(server, 'listening').then(() => true),
    new Promise<boolean>((resolve) => server.once('error', () => resolve(false))),
  ]).catch(() => false);
  if (free) {
    server.close();
    await once(server, 'close');
  }
  return free;
}
