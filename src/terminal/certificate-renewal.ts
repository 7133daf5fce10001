import type { Logger } from 'pino';
import { isFault } from '#core/fault.ts';
import type { DeviceIdentity } from '#core/sync/device-identity.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { Enrolment } from './enrolment.ts';

export interface CertificateRenewalParts {
  readonly enrolment: Pick<Enrolment, 'renew'>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** The identity from now on; connections made from then on show it. */
  readonly renewed: (identity: DeviceIdentity) => void;
}

const day = 86_400_000;
/** Looks at most so far ahead, so that a clock that was corrected is noticed. */
const lookEveryMs = day;
const tryAgainMs = 3_600_000;

/** Renews the certificate of this terminal in the last third of its life, as often as it takes. */
export class CertificateRenewal {
  readonly #parts: CertificateRenewalParts;
  #identity: DeviceIdentity;
  #timer: CancelTimer | undefined;
  #stopped = true;

  constructor(identity: DeviceIdentity, parts: CertificateRenewalParts) {
    this.#identity = identity;
    this.#parts = parts;
  }

  start(): void {
    this.#stopped = false;
    this.#look();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.();
  }

  #look(): void {
    const { clock, random } = this.#parts;
    const { notBeforeMs, notAfterMs } = this.#identity;
    // scattered over a day, so that terminals that were enrolled together do not renew together
    const dueMs = notAfterMs - (notAfterMs - notBeforeMs) / 3 + random() * day;
    const waitMs = dueMs - clock.utcMs();
    if (waitMs <= 0) void this.#renew();
    else this.#later(Math.min(waitMs, lookEveryMs));
  }

  async #renew(): Promise<void> {
    const { enrolment, log, renewed, random } = this.#parts;
    try {
      this.#identity = await enrolment.renew(this.#identity);
      log.info({ notAfterMs: this.#identity.notAfterMs }, 'the certificate is renewed');
      renewed(this.#identity);
      this.#later(lookEveryMs);
    } catch (error) {
      if (!isFault(error)) throw error;
      log.error({ fault: error.code, notAfterMs: this.#identity.notAfterMs }, error.message);
      this.#later(tryAgainMs * (0.5 + random()));
    }
  }

  #later(delayMs: number): void {
    if (!this.#stopped) this.#timer = this.#parts.clock.after(delayMs, () => this.#look());
  }
}
