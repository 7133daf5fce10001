import type { Manifest } from './manifest.ts';

/**
 * How far something has come. Numbers of different roots of trust do not compare: whoever stole keys may have counted
 * ahead of the server as far as numbers go, and with the next root, which takes the keys from them, the server's count
 * again (fast-forward recovery of The Update Framework, 5.3.11).
 */
export interface Progress {
  /** version of the root under which it was said */
  readonly rootVersion: number;
  readonly number: number;
}

/** Before everything. */
export const nowhere: Progress = { rootVersion: 0, number: 0 };

export function isBefore(a: Progress, b: Progress): boolean {
  return a.rootVersion === b.rootVersion ? a.number < b.number : a.rootVersion < b.rootVersion;
}

export function furtherOf(a: Progress, b: Progress): Progress {
  return isBefore(a, b) ? b : a;
}

/** How far a signed policy has come: the root it was signed under, its version, and the last change that is in it. */
export type SignedState = Pick<Manifest, 'rootVersion' | 'version' | 'changeNumber'>;

export function versionOf({ rootVersion, version }: SignedState): Progress {
  return { rootVersion, number: version };
}

export function changesOf({
  rootVersion,
  changeNumber,
}: Pick<SignedState, 'rootVersion' | 'changeNumber'>): Progress {
  return { rootVersion, number: changeNumber };
}
