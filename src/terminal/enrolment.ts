import { createPublicKey } from 'node:crypto';
import { fromBase64, toBase64 } from '#core/bytes/base64.ts';
import { plainBytes, toHex } from '#core/bytes/bytes.ts';
import { readCertificateChain } from '#core/crypto/certificate-chain.ts';
import { digest } from '#core/crypto/digest.ts';
import { Fault } from '#core/fault.ts';
import type { DeviceIdentity, PendingKey } from '#core/sync/device-identity.ts';
import { type CertificateAnswer, deviceKeyProof, type EnrolmentFile } from '#core/sync/enrolment.ts';
import { decodeSigned } from '#core/sync/signed.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import { pinTrustRoot } from '#core/sync/trust.ts';
import type { MakeCertificateKey } from '#ports/certificates.ts';
import type { IdentityStore } from '#ports/identity-store.ts';
import type { IssuanceClient, IssuanceReply } from '#ports/issuance-client.ts';
import type { Signing } from '#ports/signing.ts';
import type { TrustStore } from '#ports/trust-store.ts';

export interface EnrolmentParts {
  readonly store: IdentityStore;
  readonly trust: Pick<TrustStore, 'save'>;
  readonly client: IssuanceClient;
  readonly makeKey: MakeCertificateKey;
  /** signs the journal of this device */
  readonly deviceKey: Signing;
}

/**
 * How a device becomes a terminal, and stays it. Each step is on the disk before the next is taken, so that after a
 * crash, or an answer that was lost, the same key is certified again and nothing is stranded.
 */
export class Enrolment {
  readonly #parts: EnrolmentParts;

  constructor(parts: EnrolmentParts) {
    this.#parts = parts;
  }

  /**
   * Enrols this device. Rejects with `enrolment-refused` (a secret used elsewhere, expired or replaced; a device that is
   * a terminal already; a file that is not what it should be), and with the faults of store and client.
   */
  async enrol(file: EnrolmentFile): Promise<DeviceIdentity> {
    const { store, client, trust } = this.#parts;
    checkFile(file);
    const { organization, terminal, servers, authority, trustRoot, secret } = file;
    const present = await store.identity();
    const purpose = toHex(digest('sha-256', new TextEncoder().encode(secret)));
    const pending = await this.#pendingFor(purpose);
    // a crash after the last step but one: there is the identity, and the key it came of
    if (present && pending?.privateKey === present.privateKey) return this.#settled(present);
    if (present) {
      throw refusedFault(
        `this device is terminal ${present.terminal} of ${present.organization} already; to make it another, remove its identity first`,
      );
    }
    const key = pending ?? (await this.#newKey(purpose));
    const claim = await this.#claim({ organization, terminal }, key);
    const reply = await client.enrol(file, { format: 1, organization, terminal, secret, ...claim });
    const place = { organization, terminal, servers, authority, trustRoot };
    const identity = identityOf(place, key, reply);
    // before the identity, so that none ever has the roots of what this device was before
    await trust.save([fromBase64(trustRoot) ?? new Uint8Array()]);
    return this.#keep(identity);
  }

  /** Gets the next certificate with a new key. Rejects with `enrolment-refused`, and as the store and the client. */
  async renew(present: DeviceIdentity): Promise<DeviceIdentity> {
    const purpose = `after ${toHex(digest('sha-256', fromBase64(present.certificates[0] ?? '') ?? new Uint8Array()))}`;
    const key = (await this.#pendingFor(purpose)) ?? (await this.#newKey(purpose));
    const { organization, terminal, servers, authority, trustRoot } = present;
    const claim = await this.#claim({ organization, terminal }, key);
    const reply = await this.#parts.client.renew(present, { format: 1, ...claim });
    return this.#keep(identityOf({ organization, terminal, servers, authority, trustRoot }, key, reply));
  }

  /** The key that was made for this before. One that was made for something else is of no use any more. */
  async #pendingFor(purpose: string): Promise<PendingKey | undefined> {
    const pending = await this.#parts.store.pending();
    return pending?.purpose === purpose ? pending : undefined;
  }

  async #newKey(purpose: string): Promise<PendingKey> {
    const { privateKey, request } = await this.#parts.makeKey();
    const pending = {
      type: 'pending-key',
      format: 1,
      purpose,
      privateKey,
      request: toBase64(request),
    } as const;
    await this.#parts.store.savePending(pending);
    return pending;
  }

  async #claim(identity: TerminalIdentity, { request }: PendingKey) {
    const { deviceKey } = this.#parts;
    const proof = await deviceKey.sign(deviceKeyProof(identity, fromBase64(request) ?? new Uint8Array()));
    return { request, deviceKey: toBase64(deviceKey.publicKey()), proof: toHex(proof) };
  }

  async #keep(identity: DeviceIdentity): Promise<DeviceIdentity> {
    await this.#parts.store.saveIdentity(identity);
    return this.#settled(identity);
  }

  async #settled(identity: DeviceIdentity): Promise<DeviceIdentity> {
    await this.#parts.store.dropPending();
    return identity;
  }
}

/** What the device is by what the server has answered. Throws `enrolment-refused`. */
function identityOf(
  place: Pick<DeviceIdentity, 'organization' | 'terminal' | 'servers' | 'authority' | 'trustRoot'>,
  { privateKey }: PendingKey,
  reply: IssuanceReply,
): DeviceIdentity {
  if (reply.kind === 'refused')
    throw refusedFault('the server refuses this terminal: ask for a new enrolment');
  const life = checkAnswer(place, privateKey, reply.answer);
  const { certificates, brokers } = reply.answer;
  return { type: 'device-identity', format: 1, ...place, certificates, brokers, privateKey, ...life };
}

/** A file whose root of trust is not its organization's would leave the terminal with nobody to believe. */
function checkFile({ organization, trustRoot }: EnrolmentFile): void {
  const document = decodeSigned(fromBase64(trustRoot) ?? new Uint8Array());
  const root = document.kind === 'accepted' ? pinTrustRoot(document.value) : document;
  if (root.kind === 'refused')
    throw refusedFault(`the root of trust in the enrolment file is refused: ${root.reason}`);
  if (root.value.organization !== organization) {
    throw refusedFault(`the root of trust in the enrolment file is of ${root.value.organization}`);
  }
}

/** How long the certificate holds, if it is this terminal's, for its key, from its authority. */
function checkAnswer(
  { organization, terminal, authority }: Pick<DeviceIdentity, 'organization' | 'terminal' | 'authority'>,
  privateKey: string,
  { certificates }: CertificateAnswer,
): { readonly notBeforeMs: number; readonly notAfterMs: number } {
  const chain = certificates.map((text) => fromBase64(text) ?? new Uint8Array());
  const end = readCertificateChain(chain, fromBase64(authority) ?? new Uint8Array());
  const own = plainBytes(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }));
  if (end?.subject !== `O=${organization}\nCN=${terminal}` || toHex(end.publicKey) !== toHex(own)) {
    throw refusedFault(
      'the server has answered with a certificate that is not for this terminal and its key',
    );
  }
  return { notBeforeMs: end.notBeforeMs, notAfterMs: end.notAfterMs };
}

function refusedFault(message: string): Fault {
  return new Fault('enrolment-refused', message);
}
