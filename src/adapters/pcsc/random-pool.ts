import { randomFillSync } from 'node:crypto';

/** several taps' worth */
const poolLength = 1_024;

/**
 * Random bytes of the operating system's generator, drawn ahead of the tap that needs them. Each byte is given out
 * once, and then overwritten here.
 */
export class RandomPool {
  readonly #pool = randomFillSync(new Uint8Array(poolLength));
  #used = 0;

  /** `length` bytes, at most those of a whole pool, in a buffer of their own. */
  readonly bytes = (length: number): Uint8Array => {
    if (this.#used + length > poolLength) this.refill();
    const given = this.#pool.slice(this.#used, this.#used + length);
    this.#pool.fill(0, this.#used, this.#used + length);
    this.#used += length;
    return given;
  };

  /** Draws anew what has been given out; to be called when there is time. */
  refill(): void {
    randomFillSync(this.#pool);
    this.#used = 0;
  }
}
