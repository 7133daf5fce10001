import { toHex } from '#core/bytes/bytes.ts';
import { type DevicePublicKey, parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import type { PermissionsDatabase } from '../storage/databases.ts';

/**
 * The keys that may sign the journal of `terminal` (SubjectPublicKeyInfo, DER): of every device that was ever enrolled as
 * it, since what it signed while it was the terminal stays signed.
 */
export async function deviceKeysIn(
  db: PermissionsDatabase,
  terminal: string,
): Promise<readonly Uint8Array[]> {
  const rows = await db
    .selectFrom('certificates')
    .select('device_key')
    .where('terminal_id', '=', terminal)
    .execute();
  return [...new Map(rows.map(({ device_key }) => [toHex(device_key), device_key])).values()];
}

/** of those that are parsed; terminals send again and again */
const mostParsed = 10_000;

/** The same by their id, each parsed once: that takes as long as what is then done with it. */
export class DeviceKeys {
  readonly #parsed = new Map<string, DevicePublicKey | undefined>();

  async of(db: PermissionsDatabase, terminal: string): Promise<ReadonlyMap<string, DevicePublicKey>> {
    const keys = (await deviceKeysIn(db, terminal)).map((spki) => this.#parse(spki));
    return new Map(keys.flatMap((key) => (key ? [[key.keyId, key] as const] : [])));
  }

  #parse(spki: Uint8Array): DevicePublicKey | undefined {
    const text = toHex(spki);
    if (!this.#parsed.has(text)) {
      const oldest = this.#parsed.keys().next();
      if (this.#parsed.size >= mostParsed && !oldest.done) this.#parsed.delete(oldest.value);
      this.#parsed.set(text, parseDevicePublicKey(spki));
    }
    return this.#parsed.get(text);
  }
}
