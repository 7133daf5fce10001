/** The process in which the PKCS#11 module lives: started and supervised by Pkcs11Vault. */
import { linkToParent } from '#adapters/process/child-main.ts';
import { Transient } from '#adapters/process/link.ts';
import { Fault } from '#core/fault.ts';
import type { ChildOffer } from './messages.ts';
import { TokenSigningKeys } from './signing-keys.ts';
import { TokenKeys } from './token-keys.ts';
import { endsSession, isModuleError, TokenSession, unavailable } from './token-session.ts';

let session: TokenSession | undefined;
let opened: { readonly master: TokenKeys; readonly signing: TokenSigningKeys } | undefined;

/** What the module failed at is told; where it cannot go on, this process ends after its answer, for a fresh one. */
function guarded<T>(action: (keys: NonNullable<typeof opened>) => T): T {
  if (!opened) throw new Fault('key-unavailable', 'the token is not open yet');
  try {
    return action(opened);
  } catch (error) {
    if (endsSession(error)) setImmediate(() => process.exit(1));
    throw isModuleError(error) || endsSession(error) ? unavailable('the token', error) : error;
  }
}

const offer: ChildOffer = {
  open: async (description) => {
    session = await TokenSession.open(description);
    opened = { master: new TokenKeys(session), signing: new TokenSigningKeys(session) };
  },
  cardKeys: (request) => {
    const derived = guarded(({ master }) => master.cardKeys(request));
    return new Transient(derived, [derived.encryption, derived.mac]);
  },
  names: () => guarded(({ master }) => master.names()),
  describe: (name) => guarded(({ master }) => master.describe(name)),
  add: (key) => {
    try {
      return guarded(({ master }) => master.add(key));
    } finally {
      key.key.fill(0);
    }
  },
  destroy: (name) => guarded(({ master }) => master.destroy(name)),
  signingKey: (asked) => guarded(({ signing }) => signing.publicKey(asked)),
  sign: (order) => guarded(({ signing }) => signing.sign(order)),
};
linkToParent(offer, () => {
  session?.close();
  process.exit(0);
});
