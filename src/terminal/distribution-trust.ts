import { z } from 'zod';
import type { AccessState, StateChange } from '#core/access/access-state.ts';
import type { PolicySlice } from '#core/access/policy.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { Checked } from '#core/sync/document.ts';
import { type Manifest, readSignedManifest } from '#core/sync/manifest.ts';
import {
  changesOf,
  furtherOf,
  isBefore,
  nowhere,
  type Progress,
  type SignedState,
  versionOf,
} from '#core/sync/progress.ts';
import { Revoked } from '#core/sync/revoked.ts';
import { decodeSigned } from '#core/sync/signed.ts';
import { nextTrustRoot, pinTrustRoot, type TrustRoot } from '#core/sync/trust.ts';
import type { PolicyTrust, Reached } from '#ports/policy-trust.ts';

/** A root with the bytes in which it came. */
interface KnownRoot {
  readonly document: Uint8Array;
  readonly root: TrustRoot;
}

/** The fact that keeps, outside the policy's own database, how far the policy had come. */
export const installedKey = 'policy/installed';
/** The same of what was revoked ahead of it. */
export const revokedKey = 'policy/revoked';
const progressFact = z.strictObject({ rootVersion: z.int().min(0), number: z.int().min(0) });

/**
 * Whom this terminal believes about its policy. While a new root is coming into force the one before it counts beside it,
 * so that doors go on by a manifest of the old keys until one of the new keys is there.
 */
export class DistributionTrust implements PolicyTrust {
  readonly #terminal: string;
  #fact: (key: string) => JsonValue | undefined = () => undefined;
  readonly #revoked = new Revoked();
  /** oldest first */
  #roots: readonly KnownRoot[] = [];
  /** the last change that was revoked and is known here */
  #revokedUpTo = nowhere;
  #found: (fault: Fault) => void = () => undefined;

  constructor(parts: { readonly terminal: string }) {
    this.#terminal = parts.terminal;
  }

  /** `fact` tells a fact about the terminal as a whole: how far the policy had come, outside of its own database. */
  rememberBy(fact: (key: string) => JsonValue | undefined): void {
    this.#fact = fact;
  }

  /** Takes the roots as they were kept, oldest first. Throws `policy-altered` where they do not follow one another. */
  load(documents: readonly Uint8Array[]): void {
    const roots: KnownRoot[] = [];
    for (const document of documents) {
      const read = decodeSigned(document);
      const last = roots.at(-1);
      const checked =
        read.kind === 'refused'
          ? read
          : last
            ? nextTrustRoot(last.root, read.value)
            : pinTrustRoot(read.value);
      if (checked.kind === 'refused') throw mistrust(`its root of trust is refused: ${checked.reason}`);
      roots.push({ document, root: checked.value });
    }
    this.#roots = roots;
    this.#newest();
  }

  hasRoot(): boolean {
    return this.#roots.length > 0;
  }

  /** The root in force. Throws `policy-altered` where there is none. */
  root(): TrustRoot {
    return this.#newest().root;
  }

  /** Whether `document` is the root that follows; it is then in force, beside the one before. */
  follow(document: Uint8Array): Checked<TrustRoot> {
    const read = decodeSigned(document);
    if (read.kind === 'refused') return read;
    const next = nextTrustRoot(this.root(), read.value);
    if (next.kind === 'accepted') this.#roots = [...this.#roots, { document, root: next.value }];
    return next;
  }

  /** From now on the root in force counts alone, if it is the one that vouches for the manifest (as it came) in force. */
  settle(document: Uint8Array): void {
    if (this.isOfNewest(document)) this.#roots = [this.#newest()];
  }

  isOfNewest(document: Uint8Array): boolean {
    return this.#checked(document, this.#newest()).kind === 'accepted';
  }

  /** As they are to be kept. */
  documents(): readonly Uint8Array[] {
    return this.#roots.map(({ document }) => document);
  }

  /** Told what look-ups find not to be as signed. */
  onFound(found: (fault: Fault) => void): void {
    this.#found = found;
  }

  revoke(revoked: Parameters<Revoked['add']>[0]): void {
    this.#revoked.add(revoked);
    this.#revokedUpTo = furtherOf(this.#revokedUpTo, changesOf(revoked));
  }

  /** A policy with these changes is in force. */
  dropRevoked(known: SignedState): void {
    this.#revoked.drop(known);
  }

  vouch(document: Uint8Array): Manifest {
    this.#newest();
    let refusal: string | undefined;
    for (const root of this.#roots.toReversed()) {
      const checked = this.#checked(document, root);
      if (checked.kind === 'accepted') return checked.value;
      refusal ??= checked.reason;
    }
    throw mistrust(`its manifest is refused: ${refusal}`);
  }

  /** How far everything signed has come that is known here; never throws. */
  seen(installed: SignedState | undefined): Reached {
    const kept = (key: string) => progressFact.safeParse(this.#fact(key)).data ?? nowhere;
    const revoked = furtherOf(kept(revokedKey), this.#revokedUpTo);
    if (!installed) return { version: kept(installedKey), changes: revoked };
    return {
      version: furtherOf(kept(installedKey), versionOf(installed)),
      changes: furtherOf(revoked, changesOf(installed)),
    };
  }

  reached(): Reached {
    return { version: this.#progress(installedKey), changes: this.#progress(revokedKey) };
  }

  checkCurrent(found: SignedState, reached: Reached = this.reached()): void {
    if (isBefore(versionOf(found), reached.version)) throw mistrust('an older one was put in its place');
    if (isBefore(furtherOf(changesOf(found), this.#revokedUpTo), reached.changes))
      throw mistrust('what was revoked ahead of it is missing');
  }

  isCurrent(state: SignedState): boolean {
    try {
      this.checkCurrent(state);
      return true;
    } catch (error) {
      if (isFault(error, 'policy-altered')) return false;
      throw error;
    }
  }

  revised<S extends Pick<PolicySlice, 'holder' | 'card'>>(slice: S, state: SignedState): S {
    return this.#revoked.revised(slice, state);
  }

  found(fault: Fault): void {
    this.#found(fault);
  }

  #newest(): KnownRoot {
    const newest = this.#roots.at(-1);
    if (!newest) throw mistrust('it has no root of trust');
    return newest;
  }

  #checked(document: Uint8Array, { root }: KnownRoot): Checked<Manifest> {
    const read = decodeSigned(document);
    return read.kind === 'refused'
      ? read
      : readSignedManifest(read.value, { root, terminal: this.#terminal });
  }

  /** A fact that cannot be read must not count as none. */
  #progress(key: string): Progress {
    const value = this.#fact(key);
    if (value === undefined) return nowhere;
    const parsed = progressFact.safeParse(value);
    if (!parsed.success) throw new Fault('database-invalid', `the fact "${key}" is not as it is written`);
    return parsed.data;
  }
}

function mistrust(why: string): Fault {
  return new Fault('policy-altered', `the policy on this device is not believed: ${why}`);
}

/** The change that has the fact `key` say that it has come at least as far as `progress`. */
export function furtherFact(
  state: Pick<AccessState, 'shared'>,
  key: string,
  progress: Progress,
): StateChange {
  const known = progressFact.safeParse(state.shared(key)).data ?? nowhere;
  return { key, value: { ...furtherOf(known, progress) } };
}
