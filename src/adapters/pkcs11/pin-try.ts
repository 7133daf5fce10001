import { randomBytes, scryptSync } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { giveToOwnerOf, makeFolder } from '#adapters/process/ownership.ts';
import { equalConstantTime, toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';

/** A token, and where tries of its PIN are noted. */
export interface TriedToken {
  /** folder of the notes, which outlive the process */
  readonly directory: string;
  readonly label: string;
  /** another token of the same label is none that has refused a PIN */
  readonly serialNumber: string;
  /** it tells that a wrong PIN was entered since the last right one, by anybody (CKF_USER_PIN_COUNT_LOW) */
  readonly wrongPinEntered: boolean;
}
type NotedToken = Pick<TriedToken, 'directory' | 'label'>;

const noteSchema = z.discriminatedUnion('state', [
  z.strictObject({
    format: z.literal('kazasu-pin-try'),
    formatVersion: z.literal(1),
    state: z.enum(['begun', 'refused']),
    salt: z.string().regex(/^[0-9A-F]{32}$/),
    /** scrypt of the PIN: what stays here is of a PIN that the token did not take */
    hash: z.string().regex(/^[0-9A-F]{64}$/),
  }),
  z.strictObject({
    format: z.literal('kazasu-pin-try'),
    formatVersion: z.literal(1),
    state: z.literal('permitted'),
  }),
]);
type Note = z.output<typeof noteSchema>;
type TriedPin = Extract<Note, { readonly hash: string }>;

/** N of scrypt, with r = 8 and p = 1: 16 MiB, a tenth of a second on a small device */
const scryptCost = 2 ** 14;

/**
 * One try of a PIN, noted durably before it is made and forgotten once the token took it: a token counts wrong PINs
 * and locks, and a process that dies would otherwise try the same one again at each start. Synchronous throughout, so
 * that nothing but the death of the process comes between the note, the try and its end.
 */
export class PinTry {
  readonly #file: string;
  readonly #note: TriedPin;

  private constructor(file: string, note: TriedPin) {
    this.#file = file;
    this.#note = note;
  }

  /**
   * Notes that `pin` is about to be tried.
   *
   * @throws Fault `key-vault-pin-refused` where the token refused this very PIN before, `key-unavailable` while a try
   * of it is under way elsewhere, where one was cut off, or where somebody else has entered a wrong PIN,
   * `key-file-invalid` where nothing can be noted
   */
  static begin(token: TriedToken, pin: Uint8Array): PinTry {
    const file = noteFile(token);
    const earlier = readNote(file);
    if (!earlier && token.wrongPinEntered) throw wrongElsewhere(token);
    if (earlier && earlier.state !== 'permitted' && isPinOf(earlier, token, pin)) {
      throw earlier.state === 'refused' ? refusedBefore(token) : notEnded(token);
    }
    const salt = toHex(randomBytes(16));
    const begun: TriedPin = {
      format: 'kazasu-pin-try',
      formatVersion: 1,
      state: 'begun',
      salt,
      hash: hashOf(token, pin, salt),
    };
    try {
      makeFolder(token.directory);
      place(file, begun, earlier ? renameSync : linkSync);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw notEnded(token);
      throw unwritable(file, error);
    }
    return new PinTry(file, begun);
  }

  /** The token took the PIN, or did not judge it: nothing keeps it from being tried again. */
  forget(): void {
    remove(this.#file);
  }

  /** The token refused the PIN, which is not tried again until `permitTry`. */
  refuse(): void {
    try {
      place(this.#file, { ...this.#note, state: 'refused' }, renameSync);
    } catch (error) {
      throw unwritable(this.#file, error);
    }
  }
}

/** Permits the PIN of a token to be tried once, whatever became of it before. Throws a Fault `key-file-invalid`. */
export function permitTry(token: NotedToken): void {
  const file = noteFile(token);
  try {
    makeFolder(token.directory);
    place(file, { format: 'kazasu-pin-try', formatVersion: 1, state: 'permitted' }, renameSync);
  } catch (error) {
    throw unwritable(file, error);
  }
}

/** Labels may hold any character; a digest of one is a name for a file. */
const noteFile = ({ directory, label }: NotedToken): string =>
  join(directory, `pin-try-${toHex(digest('sha-256', Buffer.from(label)).subarray(0, 8))}`);

const isPinOf = ({ salt, hash }: TriedPin, token: TriedToken, pin: Uint8Array): boolean =>
  equalConstantTime(Buffer.from(hash), Buffer.from(hashOf(token, pin, salt)));

function hashOf({ label, serialNumber }: TriedToken, pin: Uint8Array, salt: string): string {
  const salted = Buffer.from(`${salt}\0${label}\0${serialNumber}`);
  return toHex(scryptSync(pin, salted, 32, { N: scryptCost, r: 8, p: 1 }));
}

/** The note of an earlier try. Throws a Fault where there is one that cannot be read: what it forbids is not known. */
function readNote(file: string): Note | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(file, error);
  }
  try {
    return noteSchema.parse(JSON.parse(text));
  } catch {
    throw new Fault('key-file-invalid', `${file} is no note of a PIN’s try; permit another: ${remedy}`);
  }
}

/** Puts a note in place durably, whole or not at all; `by` link, which replaces none, or rename. */
function place(file: string, note: Note, by: (from: string, to: string) => void): void {
  const unfinished = `${file}.new-${toHex(randomBytes(6))}`;
  const handle = openSync(unfinished, 'wx', 0o600);
  try {
    try {
      writeSync(handle, `${JSON.stringify(note)}\n`);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    giveToOwnerOf(dirname(file), unfinished);
    by(unfinished, file);
  } finally {
    rmSync(unfinished, { force: true });
  }
  syncFolder(file);
}

function remove(file: string): void {
  try {
    rmSync(file, { force: true });
    syncFolder(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw unwritable(file, error);
  }
}

function syncFolder(file: string): void {
  const folder = openSync(dirname(file), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

const remedy = 'kazasu keys retry-pin';

function refusedBefore({ label }: TriedToken): Fault {
  return new Fault(
    'key-vault-pin-refused',
    `the token ${label} has refused this PIN before, and it is not tried again: correct the PIN file, or where the token takes it by now, permit one more try: ${remedy}`,
  );
}

function notEnded({ label }: TriedToken): Fault {
  return new Fault(
    'key-unavailable',
    `a try of this PIN at the token ${label} is under way, or was cut off and may have failed; where nothing else uses the token, permit one more: ${remedy}`,
  );
}

function wrongElsewhere({ label }: TriedToken): Fault {
  return new Fault(
    'key-unavailable',
    `a wrong PIN was entered into the token ${label} since the last right one, by somebody else: log in once with the token’s own tool, or permit a try: ${remedy}`,
  );
}

function unwritable(file: string, error: unknown): Fault {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
  return new Fault(
    'key-file-invalid',
    `no PIN is tried, since that cannot be noted in ${dirname(file)} (${code}); name a folder by \`directory\``,
    { cause: error },
  );
}
