import { createRequire } from 'node:module';

/** The native half of pcsclite; only binding.ts speaks to it, and only inside the child process. */
interface NativeService {
  start(callback: (error: Error | undefined, readers: Uint8Array) => void): void;
  close(): void;
}

interface NativeReader {
  get_status(callback: (error: Error | undefined, state: number) => void): void;
  _connect(
    shareMode: number,
    protocols: number,
    callback: (error: Error | null, protocol: number) => void,
  ): void;
  _disconnect(disposition: number, callback: (error: Error | null) => void): void;
  _transmit(
    command: Uint8Array,
    responseLimit: number,
    protocol: number,
    callback: (error: Error | null, response: Buffer) => void,
  ): void;
  close(): void;
  once(event: '_end', listener: () => void): void;
}

interface NativeBinding {
  readonly PCSCLite: new () => NativeService;
  readonly CardReader: new (name: string) => NativeReader;
}

const require = createRequire(import.meta.url);
// the package's own wrapper is loaded for what it adds to the native prototypes (the binding emits `_end`), but its
// flow is not used: it reads status and exchanges APDUs through one native object, whose mutex an APDU holds while
// the event loop waits for it to report a status, so that one silent card would stop every reader
require('pcsclite');
const native = require('pcsclite/build/Release/pcsclite.node') as NativeBinding;

/** winscard.h: SCARD_SHARE_EXCLUSIVE, SCARD_SHARE_DIRECT; SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1 */
const shareExclusive = 1;
const shareDirect = 3;
const anyProtocol = 3;
const noProtocol = 0;
/** winscard.h: SCARD_LEAVE_CARD, SCARD_RESET_CARD */
const dispositions = { leave: 0, reset: 1 } as const;
/** the longest response of ISO 7816-3 extended length: 65,536 bytes and the status word */
const responseLimit = 65_538;
/** how long a finished native object is kept from the garbage collector: its close still runs in the event loop */
const retireAfterMs = 1_000;
const retired = new Set<object>();

function retire(object: object): void {
  retired.add(object);
  setTimeout(() => retired.delete(object), retireAfterMs).unref();
}

/**
 * Watches which readers pcscd has, from the moment of construction; throws the binding's error when pcscd does not
 * answer. `changed` gets all names each time; `failed` runs once and ends the watch.
 */
export class ServiceWatch {
  readonly #native: NativeService;
  #closed = false;

  constructor(changed: (names: readonly string[]) => void, failed: (error: Error) => void) {
    this.#native = new native.PCSCLite();
    this.#native.start((error, readers) => {
      if (this.#closed) return;
      if (error) failed(error);
      else changed(readerNames(readers));
    });
  }

  /** Ends the watch; its last callback may be what asks for this, so the native close runs in a later turn. */
  close(): void {
    this.#closed = true;
    retire(this.#native);
    setImmediate(() => this.#native.close());
  }
}

/** Reader names of SCardListReaders: each ends with a zero byte, and one more ends the list. */
export function readerNames(multiString: Uint8Array): string[] {
  return Buffer.from(multiString)
    .toString('utf8')
    .split('\0')
    .filter((name) => name !== '');
}

/**
 * Watches the state of one reader in a thread and context of its own: reports the present state, then every
 * change of it (coalesced: the counter in the upper 16 bits tells what was missed). `ended` follows an error, which
 * for a reader that was unplugged is undefined.
 */
export class StatusWatch {
  readonly #native: NativeReader;
  #closed = false;

  constructor(name: string, changed: (state: number) => void, ended: (error: Error | undefined) => void) {
    this.#native = new native.CardReader(name);
    let failure: Error | undefined;
    this.#native.once('_end', () => {
      retire(this.#native);
      if (!this.#closed) ended(failure);
      this.#closed = true;
    });
    this.#native.get_status((error, state) => {
      if (this.#closed) return;
      if (error) failure = error;
      else changed(state);
    });
  }

  /** Ends the watch. The native close takes a mutex that its own callbacks hold: it runs in a later turn. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    retire(this.#native);
    setImmediate(() => this.#native.close());
  }
}

/**
 * Native objects that have connected stay in memory and are used again: one that never watched a state has an
 * uninitialized thread in it, which its destructor joins, so that the garbage collector would abort the process.
 */
const kept = new Set<NativeReader>();
const idle = new Map<string, NativeReader[]>();

/**
 * One reader's connection to the card in it, with a context of its own that the first `connect` makes. Calls run
 * in the thread pool, one at a time. Rejections are the binding's errors; pcsc-error.ts tells what they mean.
 */
export class CardConnection {
  readonly #name: string;
  readonly #native: NativeReader;
  #protocol = 0;

  constructor(readerName: string) {
    this.#name = readerName;
    this.#native = idle.get(readerName)?.pop() ?? new native.CardReader(readerName);
    kept.add(this.#native);
  }

  /** Gives the native object to the next connection to this reader; this one is of no use any more. */
  free(): void {
    idle.set(this.#name, [...(idle.get(this.#name) ?? []), this.#native]);
  }

  /** SCardConnect, exclusive. `done` gets the error, or null. */
  connect(done: (error: Error | null) => void): void {
    this.#native._connect(shareExclusive, anyProtocol, (error, protocol) => {
      this.#protocol = protocol;
      done(error);
    });
  }

  /** SCardTransmit; the response is a view of a buffer of its own. */
  transmit(command: Uint8Array, done: (error: Error | null, response: Uint8Array) => void): void {
    this.#native._transmit(command, responseLimit, this.#protocol, (error, response) => {
      // not a Buffer, whose `slice` would share memory where that of a Uint8Array copies
      done(error, error ? empty : new Uint8Array(response.buffer, response.byteOffset, response.length));
    });
  }

  /** SCardConnect to the reader itself, whether a card is in it or not. */
  connectReader(done: (error: Error | null) => void): void {
    this.#native._connect(shareDirect, noProtocol, (error) => done(error));
  }

  /** SCardDisconnect, resetting the card or leaving it as it is. */
  disconnect(disposition: 'reset' | 'leave', done: (error: Error | null) => void): void {
    this.#native._disconnect(dispositions[disposition], done);
  }
}

const empty = new Uint8Array(0);
