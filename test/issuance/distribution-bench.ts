import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { japaneseHolidays } from '#adapters/holidays/japan.ts';
import { copyOf } from '#core/bytes/bytes.ts';
import { encodeSigned } from '#core/sync/signed.ts';
import { DistributionBuilder } from '#issuance/distribution/builder.ts';
import { ChunkShelf } from '#issuance/distribution/chunk-shelf.ts';
import { Publisher } from '#issuance/distribution/publisher.ts';
import { soleLease } from '#issuance/storage/lease.ts';
import type { ChunkAnswer, ChunkSource } from '#ports/chunk-source.ts';
import type { OutgoingMessage } from '#ports/intake.ts';
import type { PublishOutcome } from '#ports/message-bus.ts';
import type { WantedChunk } from '#ports/policy-sync.ts';
import { rootContent, signRoot, testKeys } from '../core/sync/keys.ts';
import { type Kept, SyncDevice } from '../terminal/sync-device.ts';
import type { makeOrganization } from './organization-bench.ts';

/** What distributes the policies of one organization, with a broker that does as the test says. */
export function makeDistribution(city: Awaited<ReturnType<typeof makeOrganization>>) {
  const { ledger, clock } = city;
  const sent: OutgoingMessage[] = [];
  const broker = { outcome: 'taken' as PublishOutcome, mayDate: true };
  const asked: WantedChunk[] = [];
  const told = { heard: async (_message: OutgoingMessage): Promise<void> => undefined };
  const shelf = new ChunkShelf({ db: ledger.db });
  const builder = new DistributionBuilder({
    organization: 'city',
    ledger,
    holidays: japaneseHolidays,
    lease: soleLease,
    sealed: () => undefined,
  });
  const publisher = new Publisher({
    organization: 'city',
    db: ledger.db,
    clock,
    publish: async (message) => {
      if (broker.outcome === 'taken') sent.push(message);
      await told.heard(message);
      return broker.outcome;
    },
    mayDate: () => broker.mayDate,
    signing: async () => ({ signers: testKeys.policy.slice(0, 1), rootVersion: 1 }),
  });
  const answer = async ({ kind, hash }: WantedChunk): Promise<ChunkAnswer> => {
    const bytes = kind === 'index' ? await shelf.index(hash) : await shelf.chunk(hash);
    if (bytes === 'later') return { kind: 'later', afterMs: 0 };
    // as over a network: what the asker does with its bytes, the server keeps its own
    return bytes ? { kind: 'chunk', bytes: copyOf(bytes) } : { kind: 'gone' };
  };
  const source: ChunkSource = {
    fetch: async (wanted) => {
      asked.push(...wanted);
      return Promise.all(wanted.map(answer));
    },
    roots: async () => [],
  };
  /** Builds until nothing is left to do. */
  const build = async () => {
    let steps = 0;
    while (await builder.step(clock.utcMs())) steps += 1;
    return steps;
  };
  return { sent, broker, asked, told, shelf, builder, publisher, source, build };
}

export type Distribution = ReturnType<typeof makeDistribution>;

/** The terminal `lobby`, which takes what a distribution sends it. */
export async function makeDevice({ source, sent }: Distribution, clock: Parameters<typeof started>[1]) {
  const directory = mkdtempSync(join(tmpdir(), 'kazasu-distribution-'));
  const roots = [encodeSigned(await signRoot(rootContent()))];
  const device = await started({ directory, facts: new Map(), roots }, clock, source);
  let received = 0;
  return {
    device,
    /** Takes what was sent since, and waits until the last manifest is in force. */
    receive: async () => {
      for (; received < sent.length; received += 1) {
        const { to, kind, payload } = sent[received] as OutgoingMessage;
        if (to.terminal !== 'lobby') continue;
        if (kind === 'revocation') await device.syncing.revocationReceived(payload);
        else await device.syncing.manifestReceived(payload);
      }
      while (device.syncing.status().fetching !== undefined)
        await new Promise((resolve) => setImmediate(resolve));
    },
    stop: async () => {
      await device.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function started(
  kept: Kept,
  clock: ConstructorParameters<typeof SyncDevice>[1]['clock'],
  issuer: ChunkSource,
): Promise<SyncDevice> {
  const device = new SyncDevice(kept, { issuer, clock });
  await device.syncing.start();
  return device;
}
