import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeKeyFile, openKeyFile } from '#adapters/keyfile/signing.ts';
import { createFile, isMissing } from '#adapters/process/durable-file.ts';
import { giveToOwnerOf, makeFolder } from '#adapters/process/ownership.ts';
import { Fault, isFault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import { decodeSigned, encodeSigned, type SignedDocument } from '#core/sync/signed.ts';
import { nextTrustRoot, pinTrustRoot, type TrustRole, type TrustRoot, trustRoles } from '#core/sync/trust.ts';
import type { Clock } from '#ports/clock.ts';
import type { Signing } from '#ports/signing.ts';
import type { SigningKeys } from '#ports/signing-keys.ts';
import { authorityFilesOf } from './authority-files.ts';
import type { Issuance } from './main.ts';
import { addSignature, draftRoot } from './trust/ceremony.ts';
import type { OrganizationTrust, RoleSigning } from './trust/organization-trust.ts';

export interface TrustFilesParts {
  /** folder of the authorities */
  readonly directory: string;
  readonly organization: string;
  readonly clock: Pick<Clock, 'utcMs'>;
  /** Told of a root that terminals would not follow: those before it count. */
  readonly failed: (fault: Fault) => void;
  /** absent: all keys are files */
  readonly signingKeys?: SigningKeys | undefined;
}

/**
 * Whom the terminals of `organization` believe, at the server that `issuance` describes; made where there is nothing yet.
 * Rejects with faults of key files.
 */
export async function openTrust(
  issuance: Pick<Issuance, 'config' | 'clock' | 'signingKeys'>,
  organization: string,
  failed: (fault: Fault) => void,
): Promise<TrustFiles> {
  const authorities = authorityFilesOf(issuance);
  const { directory } = authorities;
  const { clock, signingKeys } = issuance;
  const trust = new TrustFiles({ directory, organization, clock, failed, signingKeys });
  await trust.make(() => authorities.platform());
  return trust;
}

/** by folder, what is being made: within a process once */
const making = new Map<string, Promise<void>>();

interface Known {
  readonly roots: readonly { readonly document: SignedDocument; readonly root: TrustRoot }[];
  readonly keys: ReadonlyMap<TrustRole, Signing>;
}

/**
 * Whom the terminals of one organization believe, in the folder `trust/ID` of the authorities: `root-1`, `root-2` … as the
 * ceremony makes them, and the keys `policy.key` and `command.key` that sign here day by day. Where there is no root and
 * the platform's key is here, too, the first root is made with keys of its own; whoever keeps root keys elsewhere puts
 * the root here instead. What is put there later counts from then on.
 */
export class TrustFiles implements OrganizationTrust {
  readonly #parts: TrustFilesParts;
  readonly #folder: string;
  #known: { readonly state: string; readonly trust: Promise<Known> } | undefined;

  constructor(parts: TrustFilesParts) {
    this.#parts = parts;
    this.#folder = join(parts.directory, 'trust', parts.organization);
  }

  /**
   * Makes the first root where there is none and nothing is kept elsewhere. `platform`: makes or reads the certificates
   * (DER) of the platform. Rejects with faults of key files.
   */
  make(platform: () => Promise<readonly Uint8Array[]>): Promise<void> {
    const known = making.get(this.#folder);
    if (known) return known;
    const made = this.#makeOnce(platform).finally(() => making.delete(this.#folder));
    making.set(this.#folder, made);
    return made;
  }

  async #makeOnce(platform: () => Promise<readonly Uint8Array[]>): Promise<void> {
    if (!(await isMissing(this.#file('root-1')))) return;
    const inAuthorities = (name: string) => join(this.#parts.directory, name);
    const isKeyMissing = await isMissing(inAuthorities('platform.key'));
    if (isKeyMissing && !(await isMissing(inAuthorities('platform.pem')))) return;
    const authorities = await platform();
    makeFolder(join(this.#parts.directory, 'trust'));
    makeFolder(this.#folder);
    const keys = await Promise.all(trustRoles.map((role) => this.#make(role)));
    const [root] = keys;
    if (!root) return;
    const roles = Object.fromEntries(
      trustRoles.map((role, at) => [role, { keys: keys.slice(at, at + 1).map((key) => key.publicKey()) }]),
    );
    const { organization, clock } = this.#parts;
    const draft = draftRoot({ organization, roles, authorities }, clock.utcMs());
    await createFile(this.#file('root-1'), encodeSigned(await addSignature(draft, root))).catch(
      async (error: unknown) => {
        // of two processes that make one at once, the first counts
        if (await isMissing(this.#file('root-1'))) throw error;
      },
    );
  }

  async roots(): Promise<ReadonlyMap<number, Uint8Array>> {
    const { roots } = await this.#trust();
    return new Map(roots.map(({ document, root }) => [root.version, encodeSigned(document)]));
  }

  async signing(role: 'policy' | 'command'): Promise<RoleSigning | undefined> {
    const { roots, keys } = await this.#trust();
    const root = roots.at(-1)?.root;
    const key = keys.get(role);
    if (!root || !key || !root.roles[role].keys.has(key.keyId()) || root.roles[role].threshold > 1)
      return undefined;
    return { signers: [key], rootVersion: root.version };
  }

  /** Read again when something in the folder has changed. */
  async #trust(): Promise<Known> {
    const state = await this.#state();
    if (this.#known?.state !== state) this.#known = { state, trust: this.#read() };
    const { trust } = this.#known;
    try {
      return await trust;
    } catch (error) {
      this.#known = undefined;
      throw error;
    }
  }

  async #state(): Promise<string> {
    const names = await this.#names();
    const found = await Promise.all(
      names.map(async (name) => {
        const { mtimeMs, size } = await stat(this.#file(name)).catch((error: unknown) => {
          throw unreadable(this.#file(name), error);
        });
        return [name, mtimeMs, size];
      }),
    );
    return JSON.stringify(found);
  }

  async #names(): Promise<readonly string[]> {
    const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw unreadable(this.#folder, error);
    });
    return names.filter((name) => /^(?:root-[1-9]\d*|(?:policy|command)\.key)$/.test(name)).sort();
  }

  async #read(): Promise<Known> {
    const names = await this.#names();
    const versions = names
      .flatMap((name) => (name.startsWith('root-') ? [Number(name.slice('root-'.length))] : []))
      .sort((a, b) => a - b);
    const roots: Known['roots'][number][] = [];
    for (const version of versions) {
      const before = roots.at(-1)?.root;
      try {
        roots.push(await this.#root(version, before));
      } catch (error) {
        if (!before || !isFault(error)) throw error;
        this.#parts.failed(error);
        break;
      }
    }
    const keys = new Map<TrustRole, Signing>();
    for (const role of ['policy', 'command'] as const) {
      const held = await this.#held(role, false);
      if (held) keys.set(role, held);
      else if (names.includes(`${role}.key`)) keys.set(role, await openKeyFile(this.#file(`${role}.key`)));
    }
    return { roots, keys };
  }

  async #root(version: number, before: TrustRoot | undefined): Promise<Known['roots'][number]> {
    const file = this.#file(`root-${version}`);
    const bytes = await readFile(file).catch((error: unknown) => {
      throw unreadable(file, error);
    });
    const read = decodeSigned(bytes);
    if (read.kind === 'refused') throw refusedRoot(file, read.reason);
    const checked = before ? nextTrustRoot(before, read.value) : pinTrustRoot(read.value);
    if (checked.kind === 'refused') throw refusedRoot(file, checked.reason);
    if (checked.value.organization !== this.#parts.organization)
      throw refusedRoot(file, 'other-organization');
    return { document: read.value, root: checked.value };
  }

  async #make(role: TrustRole): Promise<Signing> {
    const held = await this.#held(role, true);
    if (held) return held;
    const file = this.#file(`${role}.key`);
    if (!(await isMissing(file))) return openKeyFile(file);
    const signing = await makeKeyFile(file);
    giveToOwnerOf(this.#folder, file);
    return signing;
  }

  /** The key in the token, where keys of this role are kept there. */
  async #held(role: TrustRole, make: boolean): Promise<Signing | undefined> {
    const { signingKeys, organization } = this.#parts;
    if (role === 'root' || !signingKeys?.holds(role)) return undefined;
    return signingKeys.key(organization, role, make);
  }

  #file(name: string): string {
    return join(this.#folder, name);
  }
}

function refusedRoot(file: string, reason: string): Fault {
  return new Fault('file-unreadable', `${file} is no root that terminals follow: ${reason}`);
}
