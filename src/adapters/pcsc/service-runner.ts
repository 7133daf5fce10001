import { statSync } from 'node:fs';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import type { PinOutcome } from '#core/card/reading.ts';
import { Fault, toFaultRecord } from '#core/fault.ts';
import { ServiceWatch } from './binding.ts';
import type { ReaderConfiguration } from './messages.ts';
import { pcscFault } from './pcsc-error.ts';
import { type Notify, ReaderRunner } from './reader-runner.ts';

/** How often pcscd is looked for while it is absent, in milliseconds. */
const lookEveryMs = 250;
/** How often what pcscd told is checked against what it says when asked, in milliseconds. */
const reconcileEveryMs = 5_000;

export interface ServiceRunnerParts {
  readonly configuration: ReaderConfiguration;
  readonly notify: Notify;
  readonly cardKeys: (request: CardKeyRequest) => Promise<CardKeys>;
  readonly monotonicUs: () => number;
  /** Ends this process: a context of pcsc-lite does not outlive its pcscd, and a fresh process has none. */
  readonly exit: () => void;
}

/** pcscd as seen from the child process: finds it, follows its readers, and gives up with it. */
export class ServiceRunner {
  readonly #parts: ServiceRunnerParts;
  readonly #runners = new Map<string, ReaderRunner>();
  #watch: ServiceWatch | undefined;
  /** a watch that has not reported yet and will replace `#watch` */
  #fresh: ServiceWatch | undefined;
  #serviceId = '';
  #absent = false;
  #failed = false;

  constructor(parts: ServiceRunnerParts) {
    this.#parts = parts;
  }

  /** Looks for pcscd until it answers, then follows it until it fails, which ends the process. */
  start(): void {
    try {
      this.#renewWatch();
    } catch (error) {
      if (!this.#absent) this.#tellAbsent(pcscFault(error as Error));
      this.#absent = true;
      setTimeout(() => this.start(), lookEveryMs);
      return;
    }
    this.#serviceId = socketId();
    this.#createRunners();
    setInterval(() => this.#reconcile(), reconcileEveryMs);
  }

  async verifyPin(tapId: string, digits: Uint8Array): Promise<PinOutcome> {
    for (const runner of this.#runners.values()) {
      const outcome = runner.verifyPin(tapId, digits);
      if (outcome) return outcome;
    }
    digits.fill(0);
    const fault = new Fault('card-channel-closed', 'the card session has ended');
    return { kind: 'refused', fault: toFaultRecord(fault) };
  }

  async end(tapId: string): Promise<void> {
    await Promise.all([...this.#runners.values()].map((runner) => runner.end(tapId)));
  }

  #createRunners(): void {
    const { configuration, notify, cardKeys, monotonicUs } = this.#parts;
    const sameService = this.#serviceId === configuration.serviceId;
    for (const { presentedCount, ...reader } of configuration.readers) {
      const known = presentedCount !== undefined;
      if (known && !sameService) notify('removed', reader.name);
      const runner = new ReaderRunner({
        reader: { ...reader, ...(known && sameService ? { presentedCount } : {}) },
        configuration,
        notify,
        cardKeys,
        monotonicUs,
        serviceFailed: (error) => void this.#giveUp(error),
      });
      this.#runners.set(reader.name, runner);
    }
  }

  #renewWatch(): void {
    const fresh = new ServiceWatch(
      (names) => {
        if (this.#fresh === fresh) {
          this.#watch?.close();
          this.#watch = fresh;
          this.#fresh = undefined;
        }
        this.#readersChanged(names);
      },
      (error) => void this.#giveUp(error),
    );
    this.#fresh = fresh;
  }

  #readersChanged(names: readonly string[]): void {
    this.#parts.notify('readers', { serviceId: this.#serviceId, names });
    for (const name of names) this.#runners.get(name)?.start();
  }

  #reconcile(): void {
    const owed = this.#fresh !== undefined;
    const answered = [...this.#runners.values()].map((runner) => runner.reconcile());
    if (owed || answered.includes(false)) {
      void this.#giveUp(new Error('pcscd does not answer'));
      return;
    }
    try {
      this.#renewWatch();
    } catch (error) {
      void this.#giveUp(error as Error);
    }
  }

  /** Tells every tap that pcscd is gone, then ends the process. */
  async #giveUp(error: Error): Promise<void> {
    if (this.#failed) return;
    this.#failed = true;
    const fault = new Fault('reader-service-absent', `pcscd has failed: ${error.message}`, { cause: error });
    await Promise.all([...this.#runners.values()].map((runner) => runner.abort(fault)));
    this.#tellAbsent(fault);
    // in a later turn, so that what was told is sent
    setImmediate(this.#parts.exit);
  }

  #tellAbsent(fault: Fault): void {
    this.#parts.notify('serviceAbsent', toFaultRecord(fault));
  }
}

/** Tells one pcscd from the next by the socket it made; the counters of one mean nothing to the other. */
function socketId(): string {
  const path = process.env.PCSCLITE_CSOCK_NAME ?? '/run/pcscd/pcscd.comm';
  const { dev, ino, ctimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { dev: 0, ino: 0, ctimeMs: 0 };
  return `${dev}:${ino}:${ctimeMs}`;
}
