import { join } from 'node:path';
import type { z } from 'zod';
import { destroyFile, isMissing, replaceFile } from '#adapters/process/durable-file.ts';
import { makeFolder } from '#adapters/process/ownership.ts';
import { readSecretFile } from '#adapters/process/secret-file.ts';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import {
  type DeviceIdentity,
  deviceIdentitySchema,
  type PendingKey,
  pendingKeySchema,
} from '#core/sync/device-identity.ts';
import type { IdentityStore } from '#ports/identity-store.ts';

/** Where a device in `stateDirectory` keeps who it is. */
export function identityFolder(stateDirectory: string): string {
  return join(stateDirectory, 'identity');
}

/** What is there once it is enrolled. */
export function identityFile(stateDirectory: string): string {
  return join(identityFolder(stateDirectory), 'identity.json');
}

/** Who a device is, in `identity.json` of `directory`, and the key that is being certified, in `identity-pending.json`. */
export class IdentityFiles implements IdentityStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  identity(): Promise<DeviceIdentity | undefined> {
    return read(this.#identityFile(), deviceIdentitySchema);
  }

  saveIdentity(identity: DeviceIdentity): Promise<void> {
    return this.#write(this.#identityFile(), identity);
  }

  pending(): Promise<PendingKey | undefined> {
    return read(this.#pendingFile(), pendingKeySchema);
  }

  savePending(pending: PendingKey): Promise<void> {
    return this.#write(this.#pendingFile(), pending);
  }

  dropPending(): Promise<void> {
    return destroyFile(this.#pendingFile());
  }

  async #write(file: string, value: object): Promise<void> {
    try {
      makeFolder(this.#directory);
    } catch (error) {
      throw unreadable(this.#directory, error);
    }
    await replaceFile(file, Buffer.from(`${JSON.stringify(value)}\n`));
  }

  #identityFile(): string {
    return join(this.#directory, 'identity.json');
  }

  #pendingFile(): string {
    return join(this.#directory, 'identity-pending.json');
  }
}

async function read<S extends z.ZodType>(file: string, schema: S): Promise<z.output<S> | undefined> {
  if (await isMissing(file)) return undefined;
  const content = await readSecretFile(file);
  try {
    const parsed = schema.safeParse(JSON.parse(Buffer.from(content).toString('utf8')));
    if (parsed.success) return parsed.data;
  } catch {
    // told below
  } finally {
    content.fill(0);
  }
  throw new Fault('key-file-invalid', `${file} is damaged, or of another version: enrol the terminal again`);
}
