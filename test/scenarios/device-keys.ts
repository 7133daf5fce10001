import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { Fault } from '#core/fault.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import type { KeyErasure } from '#ports/key-erasure.ts';
import { type TestKey, TestKeys } from '#simulators/card/test-keys.ts';

/** The keys of a device, which outlive its runs until they are erased. */
export class DeviceKeys implements KeyDerivation, KeyErasure {
  #keys: TestKeys | undefined;

  constructor(keys: readonly TestKey[]) {
    this.#keys = new TestKeys(keys);
  }

  async cardKeys(request: CardKeyRequest): Promise<CardKeys> {
    if (!this.#keys) throw new Fault('key-unavailable', 'the keys have been erased');
    return this.#keys.cardKeys(request);
  }

  async erase(): Promise<void> {
    this.#keys = undefined;
  }
}
