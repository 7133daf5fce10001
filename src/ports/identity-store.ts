import type { DeviceIdentity, PendingKey } from '#core/sync/device-identity.ts';

/**
 * Where a device keeps who it is, for its owner alone. Each write is durable and whole, or rejects with
 * `key-file-invalid`; reads reject with `key-file-invalid` for what is damaged or others may read.
 */
export interface IdentityStore {
  /** undefined before the device is enrolled */
  identity(): Promise<DeviceIdentity | undefined>;
  saveIdentity(identity: DeviceIdentity): Promise<void>;
  pending(): Promise<PendingKey | undefined>;
  savePending(pending: PendingKey): Promise<void>;
  dropPending(): Promise<void>;
}
