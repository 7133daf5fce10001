import type { Logger } from 'pino';
import { Fault, isFault } from '#core/fault.ts';
import type { Manifest } from '#core/sync/manifest.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { PolicySync } from '#ports/policy-sync.ts';
import type { JournalWriter } from './journal-writer.ts';

/** how often a part of the policy in force is verified */
const walkEveryMs = 10_000;

/**
 * Verifies the policy in force a little at a time, so that what was changed on the device is found before somebody's tap
 * finds it, and says once that it was and once that it is mended. `found` is told `policy-altered`, or `database-invalid`
 * where some of it cannot be read.
 */
export class IntegrityWatch {
  readonly #sync: Pick<PolicySync, 'walk'>;
  readonly #journal: Pick<JournalWriter, 'note'>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #found: (fault: Fault) => void;
  #manifest: Manifest | undefined;
  #walkedTo = 0;
  #altered = false;
  #cancel: CancelTimer | undefined;

  constructor(parts: {
    readonly sync: Pick<PolicySync, 'walk'>;
    readonly journal: Pick<JournalWriter, 'note'>;
    readonly clock: Clock;
    readonly log: Logger;
    readonly found: (fault: Fault) => void;
  }) {
    this.#sync = parts.sync;
    this.#journal = parts.journal;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#found = parts.found;
  }

  start(): void {
    this.#cancel = this.#clock.after(walkEveryMs, () => {
      const walked = this.#cancel;
      void this.#walk().finally(() => {
        if (this.#cancel === walked) this.start();
      });
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Walks this from its beginning; nothing while there is none. */
  follow(manifest: Manifest | undefined): void {
    this.#manifest = manifest;
    this.#walkedTo = 0;
  }

  isAltered(): boolean {
    return this.#altered;
  }

  setAltered(altered: boolean, fault?: Fault): void {
    if (altered === this.#altered) return;
    this.#altered = altered;
    this.#journal.note({ kind: 'alarm', body: { alarm: 'policy-altered', on: altered } });
    if (fault) this.#log.error({ fault: fault.code }, fault.message);
    else this.#log.info('the policy is as it was signed again');
  }

  async #walk(): Promise<void> {
    const manifest = this.#manifest;
    if (!manifest) return;
    try {
      const { altered, next } = await this.#sync.walk(manifest, this.#walkedTo);
      if (this.#manifest !== manifest) return;
      this.#walkedTo = next ?? 0;
      if (altered) this.#found(new Fault('policy-altered', 'a part of the policy was changed'));
    } catch (error) {
      if (this.#manifest === manifest && isFault(error, 'database-invalid')) this.#found(error);
      else if (this.#cancel) this.#log.warn({ err: error }, 'the policy could not be verified');
    }
  }
}
