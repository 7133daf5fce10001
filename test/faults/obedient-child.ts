/** A supervised child that does to itself what its parent asks. */
import { linkToParent } from '#adapters/process/child-main.ts';

export type ObedientOffer = {
  readonly echo: (value: unknown) => unknown;
  readonly environment: (name: string) => string | undefined;
  /** blocks the event loop for some milliseconds */
  readonly block: (ms: number) => void;
  /** blocks the event loop for ever */
  readonly hang: () => void;
  readonly leave: (code: number) => void;
  readonly ask: () => Promise<string>;
};

export type ObedientParentOffer = { readonly name: () => string };

const offer: ObedientOffer = {
  echo: (value) => value,
  environment: (name) => process.env[name],
  block: (ms) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  },
  hang: () => {
    for (;;);
  },
  leave: (code) => process.exit(code),
  ask: () => link.call('name', undefined as never, 1_000),
};
const link = linkToParent<ObedientParentOffer>(offer, () => process.exit(0));
