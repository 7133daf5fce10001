/** A supervised child whose modules take longer to load than a running one may be silent. */
import { linkToParent } from '#adapters/process/child-main.ts';

type SlowParentOffer = { readonly loaded: (nothing: undefined) => void };

Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4_000);
linkToParent<SlowParentOffer>({}, () => process.exit(0)).notify('loaded', undefined);
