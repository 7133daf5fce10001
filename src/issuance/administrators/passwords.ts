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
/** of one address, of both: whoever floods from there leaves room for others */
const ofOnePeer = 8;

interface Waiting {
  readonly peer: string;
  readonly go: () => void;
}

/**
 * Makes and checks password hashes, a few at once, since each takes much memory. Addresses from which they are asked for
 * have their turns one after another, however much comes from one of them.
 */
export class Passwords {
  readonly #cost: PasswordCost;
  readonly #entropy: Entropy;
  readonly #waiting: Waiting[] = [];
  readonly #running: string[] = [];

  constructor(parts: { readonly cost?: PasswordCost; readonly entropy: Entropy }) {
    this.#cost = parts.cost ?? productionCost;
    this.#entropy = parts.entropy;
  }

  /** `scrypt$logN$r$p$salt$hash`, the last two in base64url; undefined while too many wait. */
  async hash(password: string): Promise<string | undefined> {
    const salt = this.#entropy.bytes(saltLength);
    const hash = await this.#inTurn('', () => derive(password, salt, this.#cost));
    const { logN, r, p } = this.#cost;
    return hash && ['scrypt', logN, r, p, base64(salt), base64(hash)].join('$');
  }

  /**
   * Takes as long for an account that does not exist (`stored` undefined). `busy` while too many wait, in all or of
   * `peer`, the address it is asked from.
   */
  async check(
    password: string,
    stored: string | undefined,
    peer: string,
  ): Promise<'right' | 'wrong' | 'busy'> {
    const [, logN, r, p, salt, hash] = stored?.split('$') ?? [];
    const cost = stored === undefined ? this.#cost : { logN: Number(logN), r: Number(r), p: Number(p) };
    const expected = Buffer.from(hash ?? '', 'base64url');
    const derived = await this.#inTurn(peer, () =>
      derive(password, Buffer.from(salt ?? '', 'base64url'), cost),
    );
    if (!derived) return 'busy';
    const known = expected.length === hashLength;
    const equal = timingSafeEqual(derived, known ? expected : Buffer.alloc(hashLength));
    return known && equal ? 'right' : 'wrong';
  }

  async #inTurn(peer: string, action: () => Promise<Buffer>): Promise<Buffer | undefined> {
    const ofPeer = [...this.#running, ...this.#waiting.map((one) => one.peer)].filter((one) => one === peer);
    if (ofPeer.length >= ofOnePeer) return undefined;
    if (this.#running.length >= atOnce) {
      if (this.#waiting.length >= waitingAtMost) return undefined;
      await new Promise<void>((go) => this.#waiting.push({ peer, go }));
    } else this.#running.push(peer);
    try {
      return await action();
    } finally {
      this.#running.splice(this.#running.indexOf(peer), 1);
      this.#next();
    }
  }

  /** Gives its place to the first that waits of those of whom nothing is computed now, else to the first. */
  #next(): void {
    const other = this.#waiting.findIndex(({ peer }) => !this.#running.includes(peer));
    const [next] = this.#waiting.splice(Math.max(other, 0), 1);
    if (!next) return;
    this.#running.push(next.peer);
    next.go();
  }
}

function derive(password: string, salt: Uint8Array, { logN, r, p }: PasswordCost): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = { N: 2 ** logN, r, p, maxmem: 256 * 2 ** logN * r };
    scrypt(password.normalize('NFKC'), salt, hashLength, options, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
