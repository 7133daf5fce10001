import pkcs11js from 'pkcs11js';
import { readSecretFile } from '#adapters/process/secret-file.ts';
import { Fault } from '#core/fault.ts';
import type { TokenDescription } from './messages.ts';

type Handle = pkcs11js.Handle;

/** After these the session is gone, or the module cannot be relied on: a fresh process logs in again. */
const sessionEnding = new Set([
  pkcs11js.CKR_CRYPTOKI_NOT_INITIALIZED,
  pkcs11js.CKR_DEVICE_ERROR,
  pkcs11js.CKR_DEVICE_MEMORY,
  pkcs11js.CKR_DEVICE_REMOVED,
  pkcs11js.CKR_GENERAL_ERROR,
  pkcs11js.CKR_SESSION_CLOSED,
  pkcs11js.CKR_SESSION_HANDLE_INVALID,
  pkcs11js.CKR_TOKEN_NOT_PRESENT,
  pkcs11js.CKR_TOKEN_NOT_RECOGNIZED,
  pkcs11js.CKR_USER_NOT_LOGGED_IN,
]);
const pinRefusals = new Set([
  pkcs11js.CKR_PIN_INCORRECT,
  pkcs11js.CKR_PIN_INVALID,
  pkcs11js.CKR_PIN_LEN_RANGE,
  pkcs11js.CKR_PIN_EXPIRED,
  pkcs11js.CKR_PIN_LOCKED,
]);

/** The error of the module, if it is one of `codes`. */
export function isModuleError(error: unknown, ...codes: readonly number[]): error is pkcs11js.Pkcs11Error {
  return error instanceof pkcs11js.Pkcs11Error && (codes.length === 0 || codes.includes(error.code));
}

/** Whether nothing more can be done in this process after `error`. */
export function endsSession(error: unknown): boolean {
  return error instanceof pkcs11js.NativeError && !(isModuleError(error) && !sessionEnding.has(error.code));
}

/** A session with a token, logged in as its user. Every call blocks, so this lives in a process of its own. */
export class TokenSession {
  readonly pkcs11: pkcs11js.PKCS11;
  readonly handle: Handle;
  readonly #slot: Handle;

  private constructor(pkcs11: pkcs11js.PKCS11, slot: Handle, handle: Handle) {
    this.pkcs11 = pkcs11;
    this.#slot = slot;
    this.handle = handle;
  }

  /**
   * Loads the module and logs in, with one try: a PIN that was refused, or that has few tries left, is not tried.
   *
   * @throws Fault `key-unavailable` without the module or the token, `key-vault-pin-refused`, `key-file-invalid` or
   * `file-unreadable` for the PIN file
   */
  static async open({ module, token, pinFile }: TokenDescription): Promise<TokenSession> {
    // before anything that blocks: the child counts as loading, which may take long, until it lets go of the event loop
    const pin = await readSecretFile(pinFile);
    try {
      const pkcs11 = new pkcs11js.PKCS11();
      const slot = findToken(pkcs11, module, token);
      const handle = attempt(`token ${token}`, () => pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION));
      logIn(pkcs11, handle, pin);
      return new TokenSession(pkcs11, slot, handle);
    } finally {
      pin.fill(0);
    }
  }

  /** Runs `action` with a session that may change what is in the token. */
  writing<T>(action: (session: Handle) => T): T {
    const session = this.pkcs11.C_OpenSession(
      this.#slot,
      pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION,
    );
    try {
      return action(session);
    } finally {
      this.pkcs11.C_CloseSession(session);
    }
  }
}

/** The slot of the one token with this label. */
function findToken(pkcs11: pkcs11js.PKCS11, module: string, label: string): Handle {
  attempt(`PKCS#11 module ${module}`, () => {
    pkcs11.load(module);
    pkcs11.C_Initialize();
  });
  const slots = attempt(`PKCS#11 module ${module}`, () => pkcs11.C_GetSlotList(true)).filter(
    (slot) => attempt('a token', () => pkcs11.C_GetTokenInfo(slot)).label.trim() === label,
  );
  const [slot, another] = slots;
  if (!slot || another) {
    throw new Fault(
      'key-unavailable',
      slot ? `several tokens have the label ${label}` : `no token has the label ${label}`,
    );
  }
  const { flags } = pkcs11.C_GetTokenInfo(slot);
  if ((flags & (pkcs11js.CKF_USER_PIN_LOCKED | pkcs11js.CKF_USER_PIN_FINAL_TRY)) !== 0) {
    throw new Fault('key-vault-pin-refused', `the PIN of token ${label} is locked or has one try left`);
  }
  return slot;
}

/** One try, with the bytes of a PIN file but for line ends. */
function logIn(pkcs11: pkcs11js.PKCS11, session: Handle, pin: Uint8Array): void {
  const end = pin.findLastIndex((byte) => byte !== 0x0a && byte !== 0x0d) + 1;
  try {
    pkcs11.C_Login(session, pkcs11js.CKU_USER, Buffer.from(pin.subarray(0, end)).toString('utf8'));
  } catch (error) {
    if (isModuleError(error, ...pinRefusals)) {
      throw new Fault('key-vault-pin-refused', `the token refused the PIN (${nameOf(error)})`);
    }
    throw unavailable('logging in', error);
  }
}

function attempt<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw unavailable(what, error);
  }
}

/** The module's own words stay out but for the name of its code. */
export function unavailable(what: string, error: unknown): Fault {
  return new Fault('key-unavailable', `${what}: ${nameOf(error)}`);
}

function nameOf(error: unknown): string {
  return isModuleError(error) ? (error.message.split(':')[0] ?? 'PKCS#11 error') : 'it cannot be used';
}
