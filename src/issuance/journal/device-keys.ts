import { type DevicePublicKey, parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import type { PermissionsDatabase } from '../storage/databases.ts';

/**
 * The keys that may sign the journal of `terminal`, by their id: of every device that was ever enrolled as it, since
 * what it signed while it was the terminal stays signed.
 */
export async function deviceKeysOf(
  db: PermissionsDatabase,
  terminal: string,
): Promise<ReadonlyMap<string, DevicePublicKey>> {
  const rows = await db
    .selectFrom('certificates')
    .select('device_key')
    .where('terminal_id', '=', terminal)
    .execute();
  const keys = rows.map((row) => parseDevicePublicKey(row.device_key));
  return new Map(keys.flatMap((key) => (key ? [[key.keyId, key] as const] : [])));
}
