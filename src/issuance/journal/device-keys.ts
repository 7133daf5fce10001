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

/** The same by their id. */
export async function deviceKeysOf(
  db: PermissionsDatabase,
  terminal: string,
): Promise<ReadonlyMap<string, DevicePublicKey>> {
  const keys = (await deviceKeysIn(db, terminal)).map((key) => parseDevicePublicKey(key));
  return new Map(keys.flatMap((key) => (key ? [[key.keyId, key] as const] : [])));
}
