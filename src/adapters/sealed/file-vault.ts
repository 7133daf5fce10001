import { open, rm } from 'node:fs/promises';
import { z } from 'zod';
import { destroyFile } from '#adapters/process/durable-file.ts';
import { concat, copyOf } from '#core/bytes/bytes.ts';
import {
  checkValueOf,
  deriveCardKeys,
  diversifications,
  isMasterKeyLength,
  type MasterKeyLength,
  masterKeyLengths,
} from '#core/card/diversification.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import type { Sealing } from '#core/config/key-source.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { KeyErasure } from '#ports/key-erasure.ts';
import type { KeyVault, MasterKeyName, NewMasterKey, StoredMasterKey } from '#ports/key-vault.ts';
import { createSealed, openSealed, type Sealed, type SealedFile, writeSealed } from './sealed-file.ts';

const purpose = 'master keys';
/** The keys in the order in which they stand in the secret. */
const attributesSchema = z.strictObject({
  keys: z.array(
    z.strictObject({
      profile: z.string(),
      version: z.int().min(1).max(255),
      diversification: z.enum(diversifications),
      length: z.literal(masterKeyLengths),
    }),
  ),
});
type Attributes = z.output<typeof attributesSchema>;
type KeyEntry = Attributes['keys'][number];

/** A master key in this process's memory. */
interface HeldKey extends NewMasterKey {
  readonly length: MasterKeyLength;
}

/** Master keys in a sealed file and, while it is open, in this process's memory: no hardware, so whoever has both has them. */
export class FileVault implements KeyVault, KeyErasure {
  readonly #file: string;
  readonly #sealing: Sealing;
  #held: ReadonlyMap<string, HeldKey> | undefined;
  #fault = closed();
  /** what was under way when the vault was closed or erased must not bring its keys back */
  #closings = 0;
  #lastChange: Promise<unknown> = Promise.resolve();

  constructor({ file, sealing }: { readonly file: string; readonly sealing: Sealing }) {
    this.#file = file;
    this.#sealing = sealing;
  }

  /** Makes a vault where there is none yet, with `keys`, which it zeroes. Rejects with `key-refused` where there is a file. */
  async create(keys: readonly NewMasterKey[] = []): Promise<void> {
    let content: Sealed<Attributes> = { attributes: { keys: [] }, secret: new Uint8Array() };
    try {
      for (const key of keys) {
        const { secret } = content;
        content = withKey(content, key);
        secret.fill(0);
      }
      await this.#locked(() => createSealed(this.#sealedFile(), content));
    } finally {
      for (const secret of [content.secret, ...keys.map(({ key }) => key)]) secret.fill(0);
    }
  }

  async start(): Promise<void> {
    const closings = this.#closings;
    try {
      this.#hold(await this.#read(), closings);
    } catch (error) {
      if (isFault(error) && this.#closings === closings) this.#fault = error;
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#close(closed());
  }

  /** Why no keys can be had; undefined while they can. */
  fault(): Fault | undefined {
    return this.#held ? undefined : this.#fault;
  }

  async cardKeys(request: CardKeyRequest): Promise<CardKeys> {
    const { profileId, keyVersion, diversification, diversifier } = request;
    const held = this.#opened().get(nameOf({ profileId, version: keyVersion }));
    if (!held) throw noKey({ profileId, version: keyVersion });
    if (held.diversification !== diversification) {
      throw new Fault(
        'key-unavailable',
        `the master key of ${profileId} version ${keyVersion} serves ${held.diversification}, the profile asks for ${diversification}`,
      );
    }
    if (held.diversification === 'none') return { encryption: copyOf(held.key), mac: copyOf(held.key) };
    return deriveCardKeys(held.key, held.diversification, diversifier);
  }

  async list(): Promise<readonly StoredMasterKey[]> {
    return [...this.#opened().values()]
      .map(({ profileId, version, diversification, length, key }) => ({
        ...{ profileId, version, diversification, length },
        checkValue: checkValueOf(key),
      }))
      .sort((a, b) => compare(a.profileId, b.profileId) || a.version - b.version);
  }

  async add(key: NewMasterKey): Promise<StoredMasterKey> {
    try {
      await this.#change((content) => withKey(content, key));
    } finally {
      key.key.fill(0);
    }
    const { profileId, version } = key;
    const added = (await this.list()).find((it) => it.profileId === profileId && it.version === version);
    if (!added) throw noKey(key);
    return added;
  }

  async destroy(name: MasterKeyName): Promise<void> {
    await this.#change(({ attributes: { keys }, secret }) => {
      const parts = [...entriesOf(keys, secret)].filter(({ entry }) => !isNamed(entry, name));
      if (parts.length === keys.length) throw noKey(name);
      return {
        attributes: { keys: parts.map(({ entry }) => entry) },
        secret: concat(...parts.map(({ bytes }) => bytes)),
      };
    });
  }

  async erase(): Promise<void> {
    this.#close(new Fault('key-unavailable', 'the keys of this vault have been erased'));
    await destroyFile(this.#file).finally(async () => {
      // a change under way may have put a file back
      await this.#lastChange;
      await destroyFile(this.#file);
    });
  }

  #opened(): ReadonlyMap<string, HeldKey> {
    if (!this.#held) throw this.#fault;
    return this.#held;
  }

  #close(fault: Fault): void {
    this.#closings += 1;
    dropKeys(this.#held);
    this.#held = undefined;
    this.#fault = fault;
  }

  #read(): Promise<Sealed<Attributes>> {
    return openSealed(this.#sealedFile(), attributesSchema);
  }

  #sealedFile(): SealedFile {
    return { file: this.#file, purpose, sealing: this.#sealing };
  }

  /** Writes what `change` makes of the file's content, and holds it. */
  async #change(change: (content: Sealed<Attributes>) => Sealed<Attributes>): Promise<void> {
    this.#opened();
    const closings = this.#closings;
    const turn = this.#lastChange.then(() => this.#locked(() => this.#changeNow(change, closings)));
    this.#lastChange = turn.catch(() => undefined);
    await turn;
  }

  async #changeNow(
    change: (content: Sealed<Attributes>) => Sealed<Attributes>,
    closings: number,
  ): Promise<void> {
    const before = await this.#read();
    try {
      const after = change(before);
      try {
        if (this.#closings !== closings) throw closed();
        await writeSealed(this.#sealedFile(), after);
        this.#hold(after, closings);
      } finally {
        after.secret.fill(0);
      }
    } finally {
      before.secret.fill(0);
    }
  }

  /** One change at a time, of this process and any other. */
  async #locked(action: () => Promise<void>): Promise<void> {
    const lock = `${this.#file}.lock`;
    const handle = await open(lock, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
      const why =
        cause.code === 'EEXIST'
          ? `it is being changed by another command; if none runs, one was interrupted: remove ${lock}`
          : `${lock} cannot be made (${cause.code})`;
      throw new Fault('key-file-invalid', `${this.#file}: ${why}`, { cause });
    });
    try {
      await handle.close();
      await action();
    } finally {
      await rm(lock, { force: true });
    }
  }

  /** Holds copies of the masters, and zeroes `secret`; `closings` as they were when what was read was asked for. */
  #hold({ attributes, secret }: Sealed<Attributes>, closings: number): void {
    try {
      if (this.#closings !== closings) throw closed();
      const before = this.#held;
      this.#held = new Map(
        [...entriesOf(attributes.keys, secret)].map(({ entry, bytes }) => {
          const { profile: profileId, version, diversification, length } = entry;
          const held = { profileId, version, diversification, length, key: copyOf(bytes) };
          return [nameOf(held), held];
        }),
      );
      dropKeys(before);
    } finally {
      secret.fill(0);
    }
  }
}

function dropKeys(held: ReadonlyMap<string, HeldKey> | undefined): void {
  for (const { key } of held?.values() ?? []) key.fill(0);
}

function withKey(
  { attributes: { keys }, secret }: Sealed<Attributes>,
  { profileId, version, diversification, key }: NewMasterKey,
): Sealed<Attributes> {
  const { length } = key;
  if (!isMasterKeyLength(length)) {
    throw new Fault('key-refused', `a master key has 16, 24 or 32 bytes, not ${length}`);
  }
  if (keys.some((entry) => isNamed(entry, { profileId, version }))) {
    throw new Fault('key-refused', `there is a master key of ${profileId} version ${version} already`);
  }
  const entry: KeyEntry = { profile: profileId, version, diversification, length };
  return { attributes: { keys: [...keys, entry] }, secret: concat(secret, key) };
}

function* entriesOf(
  keys: readonly KeyEntry[],
  secret: Uint8Array,
): Iterable<{ readonly entry: KeyEntry; readonly bytes: Uint8Array }> {
  let offset = 0;
  for (const entry of keys) {
    yield { entry, bytes: secret.subarray(offset, offset + entry.length) };
    offset += entry.length;
  }
}

const nameOf = ({ profileId, version }: MasterKeyName): string => `${profileId}/${version}`;

const isNamed = ({ profile, version }: KeyEntry, name: MasterKeyName): boolean =>
  profile === name.profileId && version === name.version;

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const closed = (): Fault => new Fault('key-unavailable', 'the vault is closed');

const noKey = ({ profileId, version }: MasterKeyName): Fault =>
  new Fault(
    'card-key-missing',
    `the vault has no master key of card profile ${profileId} version ${version}`,
  );
