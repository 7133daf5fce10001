import { z } from 'zod';
import type { AccessState, StateChange } from '#core/access/access-state.ts';
import type { PolicySlice } from '#core/access/policy.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { Checked } from '#core/sync/document.ts';
import { type Manifest, readSignedManifest } from '#core/sync/manifest.ts';
import { Revoked } from '#core/sync/revoked.ts';
import { decodeSigned } from '#core/sync/signed.ts';
import { nextTrustRoot, pinTrustRoot, type TrustRoot } from '#core/sync/trust.ts';
import type { PolicyTrust, SignedState } from '#ports/policy-trust.ts';

/** A root with the bytes in which it came. */
interface KnownRoot {
  readonly document: Uint8Array;
  readonly root: TrustRoot;
}

/** The fact that keeps, outside the policy's own database, how far the policy had come. */
export const installedKey = 'policy/installed';
/** The same of what was revoked ahead of it. */
export const revokedKey = 'policy/revoked';
const numberFact = z.strictObject({ number: z.int().min(0) });

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
  #revokedUpTo = 0;
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

  /** From now on the root in force counts alone. */
  settle(): void {
    this.#roots = [this.#newest()];
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
    this.#revokedUpTo = Math.max(this.#revokedUpTo, revoked.changeNumber);
  }

  /** A policy with the changes up to `changeNumber` is in force. */
  dropRevoked(changeNumber: number): void {
    this.#revoked.drop(changeNumber);
  }

  vouch(document: Uint8Array): Manifest {
    const read = decodeSigned(document);
    if (read.kind === 'refused') throw mistrust(`its manifest is refused: ${read.reason}`);
    this.#newest();
    let refusal: string | undefined;
    for (const { root } of this.#roots.toReversed()) {
      const checked = readSignedManifest(read.value, { root, terminal: this.#terminal });
      if (checked.kind === 'accepted') return checked.value;
      refusal ??= checked.reason;
    }
    throw mistrust(`its manifest is refused: ${refusal}`);
  }

  reached(): SignedState {
    return { version: this.#number(installedKey), changeNumber: this.#number(revokedKey) };
  }

  checkCurrent({ version, changeNumber }: SignedState, reached: SignedState = this.reached()): void {
    if (version < reached.version) throw mistrust('an older one was put in its place');
    if (changeNumber < reached.changeNumber && this.#revokedUpTo < reached.changeNumber)
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

  revised<S extends Pick<PolicySlice, 'holder' | 'card'>>(slice: S, { changeNumber }: SignedState): S {
    return this.#revoked.revised(slice, changeNumber);
  }

  found(fault: Fault): void {
    this.#found(fault);
  }

  #newest(): KnownRoot {
    const newest = this.#roots.at(-1);
    if (!newest) throw mistrust('it has no root of trust');
    return newest;
  }

  /** A fact that cannot be read must not count as none. */
  #number(key: string): number {
    const value = this.#fact(key);
    if (value === undefined) return 0;
    const parsed = numberFact.safeParse(value);
    if (!parsed.success) throw new Fault('database-invalid', `the fact "${key}" is not as it is written`);
    return parsed.data.number;
  }
}

function mistrust(why: string): Fault {
  return new Fault('policy-altered', `the policy on this device is not believed: ${why}`);
}

/** The change that has the fact `key` say at least `number`. */
export function higherFact(state: Pick<AccessState, 'shared'>, key: string, number: number): StateChange {
  const known = numberFact.safeParse(state.shared(key)).data?.number ?? 0;
  return { key, value: { number: Math.max(known, number) } };
}
