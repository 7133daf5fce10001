/**
 * The measure of the tap benchmark, in a process of its own as the terminal's reader process is: at each card event
 * of a reader it reads the card as the terminal does, and tells its parent what the binding alone took of that.
 * Argument: the reader's name.
 */
import { randomBytes } from 'node:crypto';
import { CardConnection, StatusWatch } from '#adapters/pcsc/binding.ts';
import { type CardPresence, nextPresence } from '#adapters/pcsc/card-presence.ts';
import { CardSession } from '#core/card/session.ts';
import { readTestKeys, TestKeys } from '#simulators/card/test-keys.ts';
import { syntheticProfiles } from '../contracts/deck.ts';

/** What the binding alone takes for one tap, in microseconds: nothing of the terminal's own work is in it. */
export interface BareTap {
  readonly connect: number;
  readonly exchanges: readonly number[];
  readonly disconnect: number;
  readonly total: number;
}

const [readerName = ''] = process.argv.slice(2);
const keys = new TestKeys(await readTestKeys());
const profiles = await syntheticProfiles();
const connection = new CardConnection(readerName);
let presence: CardPresence = { kind: 'unknown' };

const watch = new StatusWatch(
  readerName,
  (state) => {
    const step = nextPresence(presence, state);
    presence = step.presence;
    for (const change of step.changes) {
      if (change === 'inserted') read().then((tap) => process.send?.(tap), fail);
      else process.send?.('removed');
    }
  },
  fail,
);
process.once('disconnect', () => watch.close());

/** Ends the measurement with what was wrong, instead of leaving the benchmark to wait for an answer. */
function fail(error: unknown): void {
  process.stderr.write(`the bare reading failed: ${String(error)}\n`);
  process.exit(1);
}

async function read(): Promise<BareTap> {
  const connect = await timed((done) => connection.connect(done));
  const exchanges: number[] = [];
  const session = new CardSession({
    profiles,
    cardKeys: (request) => keys.cardKeys(request),
    randomBytes,
    monotonicUs: () => Math.round(nowUs()),
    presentedAtUs: 0,
    transmit: (command) =>
      new Promise((resolve, reject) => {
        const from = nowUs();
        connection.transmit(command, (error, response) => {
          exchanges.push(nowUs() - from);
          if (error) reject(error);
          else resolve(response);
        });
      }),
  });
  const outcome = await session.read();
  if (outcome.kind !== 'reading') throw new Error(`the bare reading ended as ${outcome.kind}`);
  session.close();
  const disconnect = await timed((done) => connection.disconnect('reset', done));
  const total = connect + exchanges.reduce((sum, each) => sum + each, 0) + disconnect;
  return { connect, exchanges, disconnect, total };
}

function nowUs(): number {
  return Number(process.hrtime.bigint()) / 1_000;
}

function timed(run: (done: (error: Error | null) => void) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    const from = nowUs();
    run((error) => {
      const took = nowUs() - from;
      if (error) reject(error);
      else resolve(took);
    });
  });
}
