import type { Transmit } from '#core/apdu/transmit.ts';
import { copyOf } from '#core/bytes/bytes.ts';
import type { CardProfile } from '#core/card/profile.ts';
import { isFault } from '#core/fault.ts';
import type { TraceExchange, TraceHeader } from './trace-format.ts';
import { TraceMask } from './trace-mask.ts';

interface RawExchange {
  readonly atUs: number;
  readonly tookUs: number;
  readonly command: Uint8Array;
  readonly answer: Uint8Array | { readonly fault: string };
}

export interface TraceRecorderParts {
  readonly transmit: Transmit;
  readonly profiles: readonly CardProfile[];
  readonly monotonicUs: () => number;
}

/**
 * Records what crosses the card seam. The bytes stay in memory until it is known whether they may be written, and
 * leave it only through the mask.
 */
export class TraceRecorder {
  readonly #parts: TraceRecorderParts;
  readonly #recorded: RawExchange[] = [];
  #startUs: number | undefined;

  constructor(parts: TraceRecorderParts) {
    this.#parts = parts;
  }

  /** The seam to give to a session in place of the one recorded. */
  readonly transmit: Transmit = async (command) => {
    const { transmit, monotonicUs } = this.#parts;
    const beganUs = monotonicUs();
    this.#startUs ??= beganUs;
    const record = (answer: RawExchange['answer']): void => {
      const times = { atUs: beganUs - (this.#startUs ?? beganUs), tookUs: monotonicUs() - beganUs };
      this.#recorded.push({ ...times, command: copyOf(command), answer });
    };
    try {
      const response = await transmit(command);
      record(copyOf(response));
      return response;
    } catch (error) {
      record({ fault: isFault(error) ? error.code : 'bug' });
      throw error;
    }
  };

  /** The exchanges so far as they may be written. */
  exchanges(protection: TraceHeader['protection']): readonly TraceExchange[] {
    const mask = new TraceMask(this.#parts.profiles, protection);
    return this.#recorded.map(({ atUs, tookUs, command, answer }, index) => {
      const common = { kind: 'exchange' as const, number: index + 1, atUs, tookUs };
      if (!(answer instanceof Uint8Array)) {
        return { ...common, command: mask.command(command), fault: answer.fault };
      }
      const masked = mask.command(command);
      return { ...common, command: masked, response: mask.response(command, answer) };
    });
  }

  /** Zeroes what was recorded. */
  close(): void {
    for (const { command, answer } of this.#recorded) {
      command.fill(0);
      if (answer instanceof Uint8Array) answer.fill(0);
    }
    this.#recorded.length = 0;
  }
}
