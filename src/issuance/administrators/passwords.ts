import { scrypt, timingSafeEqual } from 'node:crypto';
import type { Entropy } from '#ports/entropy.ts';

/** scrypt (RFC 7914): 2^17 x 8 x 128 bytes are 128 MiB for each attempt, as OWASP's Password Storage Cheat Sheet asks. */
const productionCost = { logN: 17, r: 8, p: 1 } as const;
export interface PasswordCost {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
}

const hashLength = 32;
const saltLength = 16;
/** how many attempts are computed at once, and how many wait: more are told to come back */
const atOnce = 2;
const waitingAtMost = 16;

/** Makes and checks password hashes, a few at once, since each takes much memory. */
export class Passwords {
  readonly #cost: PasswordCost;
  readonly #entropy: Entropy;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(parts: { readonly cost?: PasswordCost; readonly entropy: Entropy }) {
    this.#cost = parts.cost ?? productionCost;
    this.#entropy = parts.entropy;
  }

  /** `scrypt$logN$r$p$salt$hash`, the last two in base64url; undefined while too many wait. */
  async hash(password: string): Promise<string | undefined> {
    const salt = this.#entropy.bytes(saltLength);
    const hash = await this.#derive(password, salt, this.#cost);
    const { logN, r, p } = this.#cost;
    return hash && ['scrypt', logN, r, p, base64(salt), base64(hash)].join('$');
  }

  /** Takes as long for an account that does not exist (`stored` undefined). `busy` while too many wait. */
  async check(password: string, stored: string | undefined): Promise<'right' | 'wrong' | 'busy'> {
    const [, logN, r, p, salt, hash] = stored?.split('$') ?? [];
    const cost = stored === undefined ? this.#cost : { logN: Number(logN), r: Number(r), p: Number(p) };
    const expected = Buffer.from(hash ?? '', 'base64url');
    const derived = await this.#derive(password, Buffer.from(salt ?? '', 'base64url'), cost);
    if (!derived) return 'busy';
    const known = expected.length === hashLength;
    const equal = timingSafeEqual(derived, known ? expected : Buffer.alloc(hashLength));
    return known && equal ? 'right' : 'wrong';
  }

  async #derive(
    password: string,
    salt: Uint8Array,
    { logN, r, p }: PasswordCost,
  ): Promise<Buffer | undefined> {
    if (this.#running >= atOnce) {
      if (this.#waiting.length >= waitingAtMost) return undefined;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running += 1;
    try {
      return await new Promise<Buffer>((resolve, reject) => {
        const options = { N: 2 ** logN, r, p, maxmem: 256 * 2 ** logN * r };
        scrypt(password.normalize('NFKC'), salt, hashLength, options, (error, key) =>
          error ? reject(error) : resolve(key),
        );
      });
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
