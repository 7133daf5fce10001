import type { Logger } from 'pino';
import type { DocumentRefusal } from '#core/sync/document.ts';
import type { ChunkSource } from '#ports/chunk-source.ts';
import type { Clock } from '#ports/clock.ts';
import type { TrustStore } from '#ports/trust-store.ts';
import type { DistributionTrust } from './distribution-trust.ts';

/** who sends forged documents must not have the server asked at every one */
const askEveryUs = 60_000_000;

/** Goes from the root of trust that this terminal has to the newest, and keeps what still counts. */
export class RootRenewal {
  readonly #store: TrustStore;
  readonly #source: ChunkSource;
  readonly #trust: DistributionTrust;
  readonly #clock: Pick<Clock, 'monotonicUs'>;
  readonly #log: Logger;
  #askedUs: number | undefined;

  constructor(parts: {
    readonly store: TrustStore;
    readonly source: ChunkSource;
    readonly trust: DistributionTrust;
    readonly clock: Pick<Clock, 'monotonicUs'>;
    readonly log: Logger;
  }) {
    this.#store = parts.store;
    this.#source = parts.source;
    this.#trust = parts.trust;
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  /** Rejects with faults of the file, and with `policy-altered`. */
  async load(): Promise<void> {
    this.#trust.load(await this.#store.load());
  }

  /** How long until it is time to ask again, in milliseconds. */
  waitMs(): number {
    if (this.#askedUs === undefined) return 0;
    return Math.max(0, askEveryUs - (this.#clock.monotonicUs() - this.#askedUs)) / 1_000;
  }

  /** Asks for the roots that follow; never rejects. */
  async renew(): Promise<{ readonly changed: boolean; readonly refusal?: DocumentRefusal }> {
    this.#askedUs = this.#clock.monotonicUs();
    const before = this.#trust.root().version;
    let refusal: DocumentRefusal | undefined;
    try {
      for (const document of await this.#source.roots(before)) {
        const next = this.#trust.follow(document);
        if (next.kind === 'accepted' || next.reason === 'older') continue;
        refusal = next.reason;
        break;
      }
      const changed = this.#trust.root().version > before;
      if (changed) await this.#store.save(this.#trust.documents());
      return { changed, ...(refusal && { refusal }) };
    } catch (error) {
      this.#log.warn({ err: error }, 'roots of trust could not be renewed');
      return { changed: this.#trust.root().version > before, ...(refusal && { refusal }) };
    }
  }

  /** This manifest is in force: if it is of the newest root, those before that one count no more. Never rejects. */
  async settle(manifest: Uint8Array): Promise<void> {
    if (this.#trust.documents().length === 1) return;
    this.#trust.settle(manifest);
    try {
      await this.#store.save(this.#trust.documents());
    } catch (error) {
      this.#log.warn({ err: error }, 'roots of trust could not be kept');
    }
  }
}
