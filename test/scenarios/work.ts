import { settlePromises } from '#simulators/clock/simulated-clock.ts';

/**
 * What the ports of one run of a terminal are doing in real time, so that simulated time stands still meanwhile. A cut
 * run is one whose power has failed: nothing it asks for is answered any more.
 */
export class Work {
  readonly #pending = new Set<Promise<unknown>>();
  #cut = false;

  cut(): void {
    this.#cut = true;
    this.#pending.clear();
  }

  isCut(): boolean {
    return this.#cut;
  }

  /** `port`, whose answers are waited for by `idle`. */
  watch<T extends object>(port: T): T {
    return new Proxy(port, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        return (...given: unknown[]): unknown => {
          if (this.#cut) return never;
          const answer: unknown = member.apply(target, given);
          if (!(answer instanceof Promise)) return answer;
          this.#keep(answer);
          return this.unlessCut(() => answer);
        };
      },
    });
  }

  /** Resolves when nothing is asked of the ports, and nothing that was answered leads to a further question. */
  async idle(): Promise<void> {
    for (let quiet = 0; quiet < 2; quiet += 1) {
      if (this.#pending.size > 0) {
        await Promise.allSettled([...this.#pending]);
        quiet = -1;
      }
      await settlePromises();
    }
  }

  /** What is asked for, or no answer at all once the run is cut. */
  async unlessCut<T>(ask: () => Promise<T>): Promise<T> {
    if (this.#cut) return never;
    const answer = await ask().catch((error: unknown) => (this.#cut ? never : Promise.reject(error)));
    return this.#cut ? never : answer;
  }

  #keep(answer: Promise<unknown>): void {
    this.#pending.add(answer);
    const done = () => this.#pending.delete(answer);
    answer.then(done, done);
  }
}

const never = new Promise<never>(() => undefined);
