import { join } from 'node:path';
import { pino } from 'pino';
import { PolicyReader } from '#adapters/sqlite/policy-reader.ts';
import { PolicySyncFile } from '#adapters/sqlite/policy-sync-file.ts';
import { AccessMemory } from '#core/access/access-memory.ts';
import type { PolicySlice } from '#core/access/policy.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { ChunkSource } from '#ports/chunk-source.ts';
import type { PolicySync } from '#ports/policy-sync.ts';
import type { TrustStore } from '#ports/trust-store.ts';
import type { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { DistributionTrust } from '#terminal/distribution-trust.ts';
import type { Occurrence } from '#terminal/journal-writer.ts';
import { PolicySyncing } from '#terminal/policy-sync.ts';

/** The database of a distributed policy on this thread, so that a test decides what happens between any two steps. */
export class SyncHere implements PolicySync {
  readonly #file: string;
  #open: PolicySyncFile | undefined;
  /** called before each step; may throw, or never resolve */
  before: (step: string) => Promise<void> | void = () => undefined;

  constructor(file: string) {
    this.#file = file;
  }

  async start(): Promise<void> {
    this.#open = new PolicySyncFile(this.#file);
  }

  async stop(): Promise<void> {
    this.#open?.close();
    this.#open = undefined;
  }

  installed = () => this.#step('installed', (policy) => policy.installed());
  missing: PolicySync['missing'] = (...asked) => this.#step('missing', (policy) => policy.missing(...asked));
  stage: PolicySync['stage'] = (...asked) => this.#step('stage', (policy) => policy.stage(...asked));
  install: PolicySync['install'] = (...asked) => this.#step('install', (policy) => policy.install(...asked));
  revoke: PolicySync['revoke'] = (revoked) => this.#step('revoke', (policy) => policy.revoke(revoked));
  revoked = () => this.#step('revoked', (policy) => policy.revoked());
  walk: PolicySync['walk'] = (...asked) => this.#step('walk', (policy) => policy.walk(...asked));
  repair = () => this.#step('repair', (policy) => policy.repair());

  async #step<T>(name: string, action: (policy: PolicySyncFile) => T): Promise<T> {
    await this.before(name);
    if (!this.#open) throw new Error('closed');
    return action(this.#open);
  }
}

/** What outlasts the power: the folder, the journal's facts, the roots. */
export interface Kept {
  readonly directory: string;
  readonly facts: Map<string, JsonValue>;
  roots: readonly Uint8Array[];
}

/** One run of a terminal's part in the distribution of policies. */
export class SyncDevice {
  readonly sync: SyncHere;
  readonly trust: DistributionTrust;
  readonly syncing: PolicySyncing;
  readonly notes: Occurrence[] = [];
  readonly clock: SimulatedClock;
  readonly #file: string;
  readonly #reader: PolicyReader;

  constructor(kept: Kept, parts: { readonly issuer: ChunkSource; readonly clock: SimulatedClock }) {
    this.clock = parts.clock;
    this.#file = join(kept.directory, 'policy.sqlite');
    this.sync = new SyncHere(this.#file);
    const memory = new AccessMemory({ terminal: 'lobby', sharedChanged: () => undefined });
    memory.load(kept.facts);
    this.trust = new DistributionTrust({ terminal: 'lobby' });
    const store: TrustStore = {
      load: async () => kept.roots,
      save: async (roots) => {
        kept.roots = roots;
      },
    };
    const log = pino({ level: 'silent' });
    const { clock, issuer: source } = parts;
    const journal = {
      note: (occurrence: Occurrence) => {
        this.notes.push(occurrence);
        for (const { key, value } of occurrence.facts?.changes ?? [])
          if (value !== undefined) kept.facts.set(key, value);
        occurrence.facts?.durable();
      },
      floorMs: () => 0,
    };
    this.syncing = new PolicySyncing({
      terminal: 'lobby',
      sync: this.sync,
      source,
      trust: this.trust,
      roots: store,
      memory,
      journal,
      clock,
      log,
      chance: () => 0,
      changed: () => undefined,
    });
    this.#reader = new PolicyReader(this.#file, { vouch: (document) => this.trust.vouch(document) });
  }

  /** Ends as a machine does whose power fails. */
  async die(): Promise<void> {
    this.sync.before = () => new Promise(() => undefined);
    this.#reader.close();
    await this.sync.stop();
  }

  async stop(): Promise<void> {
    await this.syncing.stop();
    this.#reader.close();
  }

  /** Status of a holder as a tap finds it; undefined for nobody. Throws as a look-up does. */
  statusOf(number: number): string | undefined {
    const slice = this.slice(number);
    return slice.holder?.status;
  }

  slice(number: number): PolicySlice {
    const slice = this.#reader.slice({
      doorId: 'main',
      organization: 'city',
      profileId: 'type-a',
      userNumber: String(number).padStart(8, '0'),
    });
    const unknown = { rootVersion: 0, version: slice.version.number, changeNumber: 0 };
    return this.trust.revised(slice, this.syncing.status().installed ?? unknown);
  }

  version(): number | undefined {
    return this.#reader.version()?.number;
  }

  events(event: string): readonly Occurrence[] {
    return this.notes.filter(({ body }) => body.event === event || body.alarm === event);
  }
}
