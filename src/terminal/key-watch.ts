import type { Logger } from 'pino';
import { type KeySource, sealingRemark } from '#core/config/key-source.ts';
import { isFault } from '#core/fault.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import type { KeyErasure } from '#ports/key-erasure.ts';
import { type DeviceKeys, deviceKeys } from './key-source.ts';

/**
 * The keys of a terminal, opened while everything else starts: doors and exit requests wait for no key, and where
 * none can be had taps are denied, and log and status say why.
 */
export class KeyWatch {
  /** For taps. A card that comes while they are being opened waits for them, as long as its reading may take. */
  readonly keys: KeyDerivation;
  readonly erasure: KeyErasure | undefined;
  readonly #keys: DeviceKeys;
  readonly #log: Logger;
  readonly #changed: () => void;
  readonly #remark: string | undefined;
  #state: 'closed' | 'opening' | 'known' = 'closed';
  #told: unknown;
  #opened: Promise<unknown> = Promise.resolve();

  /** `changed` is called when `status` may tell something else. */
  constructor({ source, log, changed }: { source: KeySource; log: Logger; changed: () => void }) {
    this.#log = log;
    this.#changed = changed;
    this.#remark = sealingRemark(source);
    const { keys, erasure } = deviceKeys(source, (fault) => this.#news(fault));
    this.#keys = keys;
    this.keys = {
      cardKeys: async (request) => {
        await this.#opened;
        return keys.cardKeys(request);
      },
    };
    this.erasure = erasure && { erase: () => this.#erase(erasure) };
  }

  /** Opens the keys in the background, and says plainly where nothing seals them. */
  start(): void {
    if (this.#remark !== undefined) this.#log.warn(this.#remark);
    this.#state = 'opening';
    this.#opened = this.#keys.start().then(
      () => this.#state === 'opening' && this.#news(this.#keys.fault()),
      (error: unknown) => this.#news(error),
    );
  }

  /** Closes them. What ends by that is no failure, and not told. */
  async stop(): Promise<void> {
    this.#state = 'closed';
    await this.#keys.stop();
  }

  /** How the keys are, in a few words: `no keys: CODE` where none can be had; undefined where all is well. */
  status(): string | undefined {
    const fault = this.#keys.fault();
    if (this.#state === 'opening') return 'keys being opened';
    if (fault) return `no keys: ${fault.code}`;
    return this.#remark?.startsWith('keys not sealed') ? 'keys not sealed' : undefined;
  }

  #news(error: unknown): void {
    if (this.#state === 'closed' || (error !== undefined && error === this.#told)) return;
    this.#state = 'known';
    this.#told = error;
    if (error === undefined) this.#log.info('keys can be had');
    else if (!isFault(error)) this.#log.error({ err: error }, 'no keys: cards that authenticate are denied');
    else if (this.#keys.fault())
      this.#log.error({ fault: error.code }, `cards that authenticate are denied: ${error.message}`);
    else this.#log.error({ fault: error.code }, `the keys that were there go on serving: ${error.message}`);
    this.#changed();
  }

  #erase(erasure: KeyErasure): Promise<void> {
    const erased = erasure.erase();
    this.#changed();
    return erased;
  }
}
