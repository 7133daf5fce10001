import { plainBytes, toHex } from '#core/bytes/bytes.ts';
import { isSignedBy, parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { digest } from '#core/crypto/digest.ts';
import { newCertificateSerial } from '#core/sync/certificate-serial.ts';
import { deviceKeyProof } from '#core/sync/enrolment.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { CertificateIssue, ReadCertificateRequest, RevokedCertificate } from '#ports/certificates.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Change, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';

const day = 86_400_000;
/** a terminal renews in the last third, so it may be away for four months */
const lifeMs = 365 * day;
/** the clock of a device may be behind */
const backdatedMs = 3_600_000;
/** A list that ran out would shut everybody out at a broker, so it lasts long and is made anew daily. */
const listLifeMs = 30 * day;

export interface TerminalCertificatesParts {
  readonly organization: string;
  readonly ledger: Ledger<PermissionsTables>;
  readonly authority: CertificateIssue;
  readonly readRequest: ReadCertificateRequest;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

/** Keys of a device, as it has proved them. */
export interface ProvenKeys {
  /** SubjectPublicKeyInfo of the key to be certified, and the id of it */
  readonly publicKey: Uint8Array;
  readonly keyId: string;
  /** SubjectPublicKeyInfo */
  readonly deviceKey: Uint8Array;
}

/** A certificate that was made and is not recorded yet. */
export interface MadeCertificate extends ProvenKeys {
  readonly serialNumber: string;
  readonly certificate: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface RevokedTerminalCertificate extends RevokedCertificate {
  readonly terminal: string;
}

/** What a device sends to prove its keys. */
export interface KeyClaim {
  readonly request: Uint8Array;
  readonly deviceKey: Uint8Array;
  readonly proof: Uint8Array;
}

/** The certificates of the terminals of one organization. */
export class TerminalCertificates {
  readonly #parts: TerminalCertificatesParts;

  constructor(parts: TerminalCertificatesParts) {
    this.#parts = parts;
  }

  /** undefined where either key is not proved to be the device's, or both are one */
  async prove(terminal: string, { request, deviceKey, proof }: KeyClaim): Promise<ProvenKeys | undefined> {
    const { organization, readRequest } = this.#parts;
    const publicKey = await readRequest(request);
    const parsed = parseDevicePublicKey(deviceKey);
    if (!publicKey || !parsed) return undefined;
    const keyId = toHex(digest('sha-256', publicKey));
    // what signs in a TLS connection must not be able to sign a journal
    if (keyId === parsed.keyId) return undefined;
    const claimed = deviceKeyProof({ organization, terminal }, request);
    return isSignedBy(parsed, claimed, proof) ? { publicKey, keyId, deviceKey } : undefined;
  }

  async make(terminal: string, keys: ProvenKeys): Promise<MadeCertificate> {
    const { organization, authority, clock, entropy } = this.#parts;
    const identity: TerminalIdentity = { organization, terminal };
    const nowMs = clock.utcMs();
    const order = {
      publicKey: keys.publicKey,
      serialNumber: newCertificateSerial(entropy.bytes(16)),
      notBeforeMs: nowMs - backdatedMs,
      notAfterMs: nowMs + lifeMs,
    };
    return { ...keys, ...order, certificate: await authority.issueTerminal({ ...order, identity }) };
  }

  async record({ db }: Change<PermissionsTables>, terminal: string, made: MadeCertificate): Promise<void> {
    await db
      .insertInto('certificates')
      .values({
        serial_number: made.serialNumber,
        terminal_id: terminal,
        key_id: made.keyId,
        device_key: made.deviceKey,
        certificate: made.certificate,
        not_before_ms: made.notBeforeMs,
        not_after_ms: made.notAfterMs,
        revoked_at_ms: null,
        reason: null,
      })
      .execute();
  }

  /** The certificate with this number, unless it is revoked or of nobody here. */
  async good(serialNumber: string): Promise<PermissionsTables['certificates'] | undefined> {
    const row = await this.#parts.ledger.db
      .selectFrom('certificates')
      .selectAll()
      .where('serial_number', '=', serialNumber)
      .where('revoked_at_ms', 'is', null)
      .executeTakeFirst();
    return row;
  }

  /** What a terminal is given: its certificate and the authorities above it. */
  chain(certificate: Uint8Array): readonly Uint8Array[] {
    return [plainBytes(certificate), ...this.#parts.authority.chain()];
  }

  /** The certificate (DER) of the organization's authority. */
  authority(): Uint8Array {
    return this.#parts.authority.chain()[0] ?? new Uint8Array();
  }

  /** What is revoked and would else still be good, by serial number. */
  async revoked(): Promise<readonly RevokedTerminalCertificate[]> {
    const rows = await this.#parts.ledger.db
      .selectFrom('certificates')
      .select(['serial_number', 'terminal_id', 'revoked_at_ms', 'reason'])
      .where('revoked_at_ms', 'is not', null)
      .where('not_after_ms', '>', this.#parts.clock.utcMs())
      .orderBy('serial_number')
      .execute();
    return rows.map((row) => ({
      terminal: row.terminal_id,
      serialNumber: row.serial_number,
      revokedAtMs: row.revoked_at_ms ?? 0,
      reason: row.reason ?? 'key-compromise',
    }));
  }

  /** The terminals of which some certificate is good. */
  async served(): Promise<ReadonlySet<string>> {
    const rows = await this.#parts.ledger.db
      .selectFrom('certificates')
      .select('terminal_id')
      .distinct()
      .where('revoked_at_ms', 'is', null)
      .where('not_after_ms', '>', this.#parts.clock.utcMs())
      .execute();
    return new Set(rows.map((row) => row.terminal_id));
  }

  /** The revocation list (DER) of now. */
  revocationList(revoked: readonly RevokedCertificate[]): Promise<Uint8Array> {
    return issueRevocationList(this.#parts.authority, revoked, this.#parts.clock.utcMs());
  }
}

/** A list (DER) that an authority makes at `nowMs`, of a number that grows with time, whichever process makes it. */
export function issueRevocationList(
  authority: Pick<CertificateIssue, 'issueRevocationList'>,
  revoked: readonly RevokedCertificate[],
  nowMs: number,
): Promise<Uint8Array> {
  return authority.issueRevocationList({
    revoked,
    number: Math.floor(nowMs / 1_000),
    thisUpdateMs: nowMs - backdatedMs,
    nextUpdateMs: nowMs + listLifeMs,
  });
}
