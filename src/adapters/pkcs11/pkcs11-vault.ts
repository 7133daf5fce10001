import { fileURLToPath } from 'node:url';
import type { Link } from '#adapters/process/link.ts';
import { SupervisedChild } from '#adapters/process/supervised-child.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { KeyVault, MasterKeyName, NewMasterKey, StoredMasterKey } from '#ports/key-vault.ts';
import type { ChildOffer, TokenDescription } from './messages.ts';

export interface Pkcs11VaultOptions extends TokenDescription {
  /** limit of one answer of the token in milliseconds; then its process is started again */
  readonly timeoutMs: number;
  /** told when the token is lost, and when it is open again (`undefined`) */
  readonly changed?: (fault: Fault | undefined) => void;
}

const childModule = fileURLToPath(new URL('./child.ts', import.meta.url));
/** from the start of the child; a token may take seconds to log in */
const openLimitMs = 9_000;

/**
 * Master keys in a PKCS#11 token, which computes with them and never shows them. The module runs in a child process:
 * what crashes or hangs in it is `key-unavailable` for the tap, and started again. Such a token may come and go.
 */
export class Pkcs11Vault implements KeyVault {
  readonly #options: Pkcs11VaultOptions;
  readonly #child: SupervisedChild<ChildOffer>;
  #link: Link<ChildOffer> | undefined;
  #fault = new Fault('key-unavailable', 'the token is not open');
  /** never tried again by itself: that would lock the token */
  #pinRefused: Fault | undefined;
  #firstNews: ((fault?: Fault) => void) | undefined;

  constructor(options: Pkcs11VaultOptions) {
    this.#options = options;
    this.#child = new SupervisedChild<ChildOffer>({
      module: childModule,
      offer: {},
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
    await new Promise<void>((resolve, reject) => {
      this.#firstNews = (fault) => (fault ? reject(fault) : resolve());
      this.#child.start();
    });
  }

  async stop(): Promise<void> {
    this.#closed(new Fault('key-unavailable', 'the vault is closed'));
    await this.#child.stop();
  }

  cardKeys(request: CardKeyRequest): Promise<CardKeys> {
    return this.#call((link, limitMs) => link.call('cardKeys', request, limitMs));
  }

  list(): Promise<readonly StoredMasterKey[]> {
    return this.#call((link, limitMs) => link.call('list', undefined, limitMs));
  }

  async add(key: NewMasterKey): Promise<StoredMasterKey> {
    try {
      return await this.#call((link, limitMs) => link.call('add', key, limitMs));
    } finally {
      key.key.fill(0);
    }
  }

  destroy(name: MasterKeyName): Promise<void> {
    return this.#call((link, limitMs) => link.call('destroy', name, limitMs));
  }

  /** Process id of the child, for tests and diagnostics; undefined while it is being started again. */
  childPid(): number | undefined {
    return this.#child.pid();
  }

  async #open(link: Link<ChildOffer>): Promise<void> {
    if (this.#pinRefused) return;
    const { module, token, pinFile, changed } = this.#options;
    try {
      await link.call('open', { module, token, pinFile }, openLimitMs);
    } catch (error) {
      const fault = asUnavailable(error);
      this.#closed(fault);
      if (fault.code === 'key-vault-pin-refused') {
        this.#pinRefused = fault;
        return;
      }
      throw fault;
    }
    this.#link = link;
    this.#tell(undefined);
    changed?.(undefined);
  }

  #lost(cause: Fault): void {
    if (this.#link) this.#closed(asUnavailable(cause));
  }

  #closed(fault: Fault): void {
    this.#link = undefined;
    if (fault.message !== this.#fault.message) this.#options.changed?.(fault);
    this.#fault = fault;
    this.#tell(fault);
  }

  #tell(fault: Fault | undefined): void {
    this.#firstNews?.(fault);
    this.#firstNews = undefined;
  }

  async #call<T>(call: (link: Link<ChildOffer>, limitMs: number) => Promise<T>): Promise<T> {
    if (!this.#link) throw this.#fault;
    try {
      return await call(this.#link, this.#options.timeoutMs);
    } catch (error) {
      if (isFault(error, 'deadline-exceeded')) this.#child.restart();
      throw asUnavailable(error);
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
