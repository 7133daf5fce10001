import { fileURLToPath } from 'node:url';
import type { Link } from '#adapters/process/link.ts';
import { SupervisedChild } from '#adapters/process/supervised-child.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { Fault, isFault } from '#core/fault.ts';
import type {
  KeyVault,
  ListedMasterKey,
  MasterKeyName,
  NewMasterKey,
  StoredMasterKey,
} from '#ports/key-vault.ts';
import type { ChildOffer, SignOrder, TokenDescription } from './messages.ts';

export interface Pkcs11VaultOptions extends TokenDescription {
  /** limit of the token for the keys of one card, in milliseconds; then its process is started again */
  readonly timeoutMs: number;
  /** told when the token is lost, and when it is open again (`undefined`) */
  readonly changed?: (fault: Fault | undefined) => void;
}

const childModule = fileURLToPath(new URL('./child.ts', import.meta.url));
/** from the start of the child; a token may take long to log in, and cut off, that would count as a try of the PIN */
const openLimitMs = 30_000;
/** one key told of, made or destroyed: a token may take seconds to write */
const administrationLimitMs = 30_000;
/** its silence is borne longer than any call may last: each has a limit of its own */
const silenceLimitMs = 40_000;
/** how long a log-in under way may keep `stop` waiting; a service has ten seconds to stop */
const logInGraceMs = 7_000;

/**
 * Keys in a PKCS#11 token, which computes with them and never shows them. The module runs in a child process:
 * what crashes or hangs in it is `key-unavailable` for the tap, and started again. Such a token may come and go.
 */
export class Pkcs11Vault implements KeyVault {
  readonly #options: Pkcs11VaultOptions;
  readonly #child: SupervisedChild<ChildOffer>;
  #link: Link<ChildOffer> | undefined;
  #fault = new Fault('key-unavailable', 'the token is not open');
  /** never tried again by itself: that would lock the token */
  #pinRefused: Fault | undefined;
  #stopped = false;
  #firstNews: ((fault?: Fault) => void) | undefined;
  /** ends with the last call: a module gets one at a time, and the limit of each counts from when it is sent */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: Pkcs11VaultOptions) {
    this.#options = options;
    this.#child = new SupervisedChild<ChildOffer>({
      module: childModule,
      offer: {},
      silenceLimitMs,
      started: (link) => this.#open(link as unknown as Link<ChildOffer>),
      lost: (cause) => this.#lost(cause),
    });
  }

  /**
   * Resolves once the token is open. Rejects with the fault of the first try; unless its PIN was refused, it is tried
   * again until `stop`, and what is asked meanwhile is refused.
   */
  async start(): Promise<void> {
    this.#pinRefused = undefined;
    this.#stopped = false;
    await new Promise<void>((resolve, reject) => {
      this.#firstNews = (fault) => (fault ? reject(fault) : resolve());
      this.#child.start();
    });
  }

  async stop(): Promise<void> {
    const graceMs = this.#link ? undefined : logInGraceMs;
    this.#stopped = true;
    this.#link = undefined;
    this.#fault = new Fault('key-unavailable', 'the vault is closed');
    await this.#child.stop(graceMs);
    this.#tell(this.#fault);
  }

  /** Why no keys can be had; undefined while they can. */
  fault(): Fault | undefined {
    return this.#link ? undefined : this.#fault;
  }

  cardKeys(request: CardKeyRequest): Promise<CardKeys> {
    return this.#call((link) => link.call('cardKeys', request, this.#options.timeoutMs));
  }

  async list(): Promise<readonly ListedMasterKey[]> {
    const names = await this.#call((link) => link.call('names', undefined, administrationLimitMs));
    const listed: ListedMasterKey[] = [];
    for (const name of names) {
      listed.push(await this.#call((link) => link.call('describe', name, administrationLimitMs)));
    }
    return listed;
  }

  async add(key: NewMasterKey): Promise<StoredMasterKey> {
    try {
      return await this.#call((link) => link.call('add', key, administrationLimitMs));
    } finally {
      key.key.fill(0);
    }
  }

  destroy(name: MasterKeyName): Promise<void> {
    return this.#call((link) => link.call('destroy', name, administrationLimitMs));
  }

  /** SubjectPublicKeyInfo of a signing key (ECDSA P-256); `make`: made in the token where there is none. */
  signingKey(label: string, make: boolean): Promise<Uint8Array | undefined> {
    return this.#call((link) => link.call('signingKey', { label, make }, administrationLimitMs));
  }

  /** r || s over SHA-256 of the message. */
  sign(order: SignOrder): Promise<Uint8Array> {
    return this.#call((link) => link.call('sign', order, this.#options.timeoutMs));
  }

  /** Process id of the child, for tests and diagnostics; undefined while it is being started again. */
  childPid(): number | undefined {
    return this.#child.pid();
  }

  async #open(link: Link<ChildOffer>): Promise<void> {
    if (this.#pinRefused) return;
    const { module, token, pinFile, directory, changed } = this.#options;
    try {
      await link.call('open', { module, token, pinFile, directory }, openLimitMs);
    } catch (error) {
      const fault = asUnavailable(error);
      this.#closed(fault);
      if (fault.code === 'key-vault-pin-refused') {
        this.#pinRefused = fault;
        return;
      }
      throw fault;
    }
    if (this.#stopped) return;
    this.#link = link;
    this.#tell(undefined);
    changed?.(undefined);
  }

  #lost(cause: Fault): void {
    if (this.#link) this.#closed(asUnavailable(cause));
  }

  #closed(fault: Fault): void {
    if (this.#stopped) return;
    this.#link = undefined;
    if (fault.message !== this.#fault.message) this.#options.changed?.(fault);
    this.#fault = fault;
    this.#tell(fault);
  }

  #tell(fault: Fault | undefined): void {
    this.#firstNews?.(fault);
    this.#firstNews = undefined;
  }

  #call<T>(call: (link: Link<ChildOffer>) => Promise<T>): Promise<T> {
    const done = this.#turn.then(() => this.#send(call));
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #send<T>(call: (link: Link<ChildOffer>) => Promise<T>): Promise<T> {
    const link = this.#link;
    if (!link) throw this.#fault;
    try {
      return await call(link);
    } catch (error) {
      const fault = asUnavailable(error);
      if (isFault(error, 'deadline-exceeded') && this.#link === link) {
        this.#closed(fault);
        this.#child.restart();
      }
      throw fault;
    }
  }
}

/** What became of the child is for the caller a key that cannot be had. */
function asUnavailable(error: unknown): Fault {
  if (isFault(error, 'process-lost')) {
    return new Fault('key-unavailable', 'the process of the token ended; it is started again', {
      cause: error,
    });
  }
  if (isFault(error, 'deadline-exceeded')) {
    return new Fault('key-unavailable', 'the token did not answer in time; its process is started again', {
      cause: error,
    });
  }
  if (isFault(error)) return error;
  throw error;
}
