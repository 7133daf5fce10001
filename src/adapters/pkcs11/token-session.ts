import { isUtf8 } from 'node:buffer';
import pkcs11js from 'pkcs11js';
import { readSecretFile } from '#adapters/process/secret-file.ts';
import { Fault } from '#core/fault.ts';
import type { TokenDescription } from './messages.ts';
import { PinTry, type TriedToken } from './pin-try.ts';

type Handle = pkcs11js.Handle;

/** After these the session is gone, or the module cannot be relied on: a fresh process logs in again. */
const sessionEnding = new Set([
  pkcs11js.CKR_CRYPTOKI_NOT_INITIALIZED,
  pkcs11js.CKR_DEVICE_ERROR,
  pkcs11js.CKR_DEVICE_MEMORY,
  pkcs11js.CKR_DEVICE_REMOVED,
  pkcs11js.CKR_GENERAL_ERROR,
  pkcs11js.CKR_HOST_MEMORY,
  pkcs11js.CKR_OPERATION_ACTIVE,
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

/** What the module answered, by PKCS#11; the library makes an error of its own kind of it in some calls, in others not. */
function answerIn(error: unknown): { readonly name: string; readonly code: number } | undefined {
  if (error instanceof pkcs11js.Pkcs11Error) return { name: error.message, code: error.code };
  const [, name, code] = (error instanceof Error && /^(CKR_\w+):(\d+)/.exec(error.message)) || [];
  return name === undefined ? undefined : { name, code: Number(code) };
}

/** Whether the module answered with an error, one of `codes` if any are named. */
export function isModuleError(error: unknown, ...codes: readonly number[]): boolean {
  const answer = answerIn(error);
  return answer !== undefined && (codes.length === 0 || codes.includes(answer.code));
}

/** Whether nothing more can be done in this process after `error`. */
export function endsSession(error: unknown): boolean {
  const answer = answerIn(error);
  return answer ? sessionEnding.has(answer.code) : error instanceof pkcs11js.NativeError;
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
   * Loads the module and logs in, with one try: a PIN that was refused before, or that has few tries left, is not tried.
   *
   * @throws Fault `key-unavailable` without the module or the token, or where a try of the PIN did not come to its end,
   * `key-vault-pin-refused`, `key-file-invalid` or `file-unreadable` for the PIN file
   */
  static async open({ module, token, pinFile, directory }: TokenDescription): Promise<TokenSession> {
    // before anything that blocks: the child counts as loading, which may take long, until it lets go of the event loop
    const content = await readSecretFile(pinFile);
    try {
      const pin = pinOf(content, pinFile);
      const pkcs11 = new pkcs11js.PKCS11();
      const { slot, ...found } = findToken(pkcs11, module, token);
      const handle = attempt(`token ${token}`, () => pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION));
      logIn({ pkcs11, handle, pin, token: { directory, label: token, ...found } });
      return new TokenSession(pkcs11, slot, handle);
    } finally {
      content.fill(0);
    }
  }

  /** Logs out and lets go of the module, so that a token in the network keeps no session of a process that is gone. */
  close(): void {
    try {
      this.pkcs11.C_Logout(this.handle);
      this.pkcs11.C_Finalize();
    } catch {
      // the process ends all the same
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
function findToken(
  pkcs11: pkcs11js.PKCS11,
  module: string,
  label: string,
): { readonly slot: Handle; readonly serialNumber: string; readonly wrongPinEntered: boolean } {
  attempt(`PKCS#11 module ${module}`, () => {
    pkcs11.load(module);
    pkcs11.C_Initialize();
  });
  const slots = attempt(`PKCS#11 module ${module}`, () => pkcs11.C_GetSlotList(true));
  const tokens = slots.flatMap((slot) => {
    const info = tokenInfo(pkcs11, slot);
    return info?.label.trim() === label ? [{ slot, ...info }] : [];
  });
  const [found, another] = tokens;
  if (!found || another) {
    throw new Fault(
      'key-unavailable',
      found ? `several tokens have the label ${label}` : `no token has the label ${label}`,
    );
  }
  if ((found.flags & (pkcs11js.CKF_USER_PIN_LOCKED | pkcs11js.CKF_USER_PIN_FINAL_TRY)) !== 0) {
    throw new Fault(
      'key-vault-pin-refused',
      `the PIN of token ${label} is locked, or has one try left, which is not spent here: log in with the token’s own tool`,
    );
  }
  const wrongPinEntered = (found.flags & pkcs11js.CKF_USER_PIN_COUNT_LOW) !== 0;
  return { slot: found.slot, serialNumber: found.serialNumber.trim(), wrongPinEntered };
}

/** What is told of a token; nothing of one that cannot tell, as one just pulled or not of this module's kind. */
function tokenInfo(pkcs11: pkcs11js.PKCS11, slot: Handle): pkcs11js.TokenInfo | undefined {
  try {
    return pkcs11.C_GetTokenInfo(slot);
  } catch (error) {
    if (isModuleError(error)) return undefined;
    throw error;
  }
}

/** The PIN in a file, without line ends. Throws a Fault `key-file-invalid` for what no token takes: a try is not spent on it. */
function pinOf(content: Uint8Array, file: string): Uint8Array {
  const pin = content.subarray(0, content.findLastIndex((byte) => byte !== 0x0a && byte !== 0x0d) + 1);
  if (pin.length === 0) throw new Fault('key-file-invalid', `${file} is empty; it must hold the token’s PIN`);
  if (!isUtf8(pin)) throw new Fault('key-file-invalid', `the PIN in ${file} is not UTF-8 text`);
  return pin;
}

/** One try. An error by which the token does not judge the PIN, such as one of the line, keeps it from no other. */
function logIn({ pkcs11, handle, pin, token }: LogIn): void {
  const tried = PinTry.begin(token, pin);
  try {
    // the library takes a string alone, which nobody can zero; it lives in this process, and the PIN in its file
    pkcs11.C_Login(handle, pkcs11js.CKU_USER, Buffer.from(pin).toString('utf8'));
  } catch (error) {
    if (!isModuleError(error, ...pinRefusals)) {
      tried.forget();
      throw unavailable('logging in', error);
    }
    tried.refuse();
    throw new Fault(
      'key-vault-pin-refused',
      `the token ${token.label} refused the PIN (${nameOf(error)}); it is not tried again: correct the PIN file`,
    );
  }
  tried.forget();
}

interface LogIn {
  readonly pkcs11: pkcs11js.PKCS11;
  readonly handle: Handle;
  readonly pin: Uint8Array;
  readonly token: TriedToken;
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
  return answerIn(error)?.name ?? 'it cannot be used';
}
