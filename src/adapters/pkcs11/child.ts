/** The process in which the PKCS#11 module lives: started and supervised by Pkcs11Vault. */
import { linkToParent } from '#adapters/process/child-main.ts';
import { Transient } from '#adapters/process/link.ts';
import { Fault } from '#core/fault.ts';
import type { ChildOffer } from './messages.ts';
import { TokenKeys } from './token-keys.ts';
import { endsSession, isModuleError, TokenSession, unavailable } from './token-session.ts';

let session: TokenSession | undefined;
let keys: TokenKeys | undefined;

/** What the module failed at is told; where it cannot go on, this process ends after its answer, for a fresh one. */
function guarded<T>(action: (opened: TokenKeys) => T): T {
  if (!keys) throw new Fault('key-unavailable', 'the token is not open yet');
  try {
    return action(keys);
  } catch (error) {
    if (endsSession(error)) setImmediate(() => process.exit(1));
    throw isModuleError(error) || endsSession(error) ? unavailable('the token', error) : error;
  }
}

const offer: ChildOffer = {
  open: async (description) => {
    session = await TokenSession.open(description);
    keys = new TokenKeys(session);
  },
  cardKeys: (request) => {
    const derived = guarded((opened) => opened.cardKeys(request));
    return new Transient(derived, [derived.encryption, derived.mac]);
  },
  names: () => guarded((opened) => opened.names()),
  describe: (name) => guarded((opened) => opened.describe(name)),
  add: (key) => {
    try {
      return guarded((opened) => opened.add(key));
    } finally {
      key.key.fill(0);
    }
  },
  destroy: (name) => guarded((opened) => opened.destroy(name)),
};
linkToParent(offer, () => {
  session?.close();
  process.exit(0);
});
