import { toHex } from '#core/bytes/bytes.ts';
import type { Clock } from '#ports/clock.ts';
import { awaitDevice } from '../commands/conditions.ts';
import type { Actor, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { type Admission, fingerprintOf } from './admission.ts';
import { hashOfSecret } from './enrolment-secret.ts';
import type { KeyClaim, MadeCertificate, TerminalCertificates } from './terminal-certificates.ts';
import { revokeCertificates } from './terminal-register.ts';

export interface TerminalsParts {
  readonly organization: string;
  readonly ledger: Ledger<PermissionsTables>;
  readonly certificates: TerminalCertificates;
  readonly clock: Clock;
  readonly admission: Admission;
  /** whether the clock is one to date certificates by */
  readonly mayDate: () => boolean;
}

/** What becomes of a device's request: its certificate with those above it (DER), or a refusal. */
export type Certification =
  | { readonly kind: 'certified'; readonly chain: readonly Uint8Array[] }
  | { readonly kind: 'refused'; readonly reason: 'secret' | 'keys' | 'revoked' | 'early' | 'clock' };

/** a terminal that was given a certificate and shows the one before gets no third so soon */
export const againAfterMs = 86_400_000;

/** How devices become the terminals of one organization, and stay so. */
export class Terminals {
  readonly #parts: TerminalsParts;

  constructor(parts: TerminalsParts) {
    this.#parts = parts;
  }

  /**
   * Makes a device the terminal, for whoever has the secret. The same keys get the same certificate again, so that an
   * answer that was lost strands nobody; other keys are refused from then on. A device that was the terminal before is
   * shut out.
   */
  async enrol(
    terminal: string,
    { secret, claim }: { secret: string; claim: KeyClaim },
  ): Promise<Certification> {
    const { ledger, certificates, clock, mayDate } = this.#parts;
    const open = await this.#enrolment(terminal, secret);
    if (!open) return { kind: 'refused', reason: 'secret' };
    const keys = await certificates.prove(terminal, claim);
    if (!keys) return { kind: 'refused', reason: 'keys' };
    if (open.serial_number !== null) return this.#again(open.serial_number, keys.keyId);
    if (!mayDate()) return { kind: 'refused', reason: 'clock' };
    if (clock.utcMs() >= open.expires_at_ms) return { kind: 'refused', reason: 'secret' };
    const made = await certificates.make(terminal, keys);
    const actor: Actor = { id: `terminal:${terminal}`, via: 'server' };
    const result = await ledger.change<Certification | { readonly shut: readonly string[] }>(
      actor,
      async (change) => {
        const taken = await change.db
          .updateTable('enrolments')
          .set({ serial_number: made.serialNumber })
          .where('terminal_id', '=', terminal)
          .where('secret_hash', '=', open.secret_hash)
          .where('serial_number', 'is', null)
          .executeTakeFirst();
        // somebody else was quicker: who, is asked again
        if (taken.numUpdatedRows !== 1n) return change.abandon({ kind: 'refused', reason: 'secret' });
        const shut = await revokeCertificates(change, terminal, { reason: 'superseded' });
        await certificates.record(change, terminal, made);
        await awaitDevice(change, terminal);
        const { serialNumber, notAfterMs, keyId } = made;
        await change.audit({
          action: 'terminal-enrolled',
          body: { terminal, serialNumber, notAfterMs, keyId, revoked: shut },
        });
        return { shut };
      },
    );
    if ('kind' in result) {
      const later = await this.#enrolment(terminal, secret);
      return later && later.serial_number !== null ? this.#again(later.serial_number, keys.keyId) : result;
    }
    return this.#certified(terminal, made, result.shut);
  }

  /**
   * Gives a terminal that shows a good certificate the next one, where half of its life is over: else whoever has the
   * key of one terminal could have the server make them without end. The one it shows stays good, so that an answer that
   * was lost strands nobody; any other is revoked.
   */
  async renew(
    terminal: string,
    { shown, claim }: { readonly shown: string; readonly claim: KeyClaim },
  ): Promise<Certification> {
    const { ledger, certificates, mayDate } = this.#parts;
    const present = await certificates.good(shown);
    if (present?.terminal_id !== terminal) return { kind: 'refused', reason: 'revoked' };
    const keys = await certificates.prove(terminal, claim);
    // the key that signs the journal changes with the device alone
    if (!keys || toHex(keys.deviceKey) !== toHex(present.device_key))
      return { kind: 'refused', reason: 'keys' };
    const given = await this.#given(terminal, keys.keyId);
    if (given) return { kind: 'certified', chain: certificates.chain(given) };
    if (!mayDate()) return { kind: 'refused', reason: 'clock' };
    if (!(await this.#isDue(present))) return { kind: 'refused', reason: 'early' };
    const made = await certificates.make(terminal, keys);
    const actor: Actor = { id: `terminal:${terminal}`, via: 'server' };
    const result = await ledger.change<Certification | { readonly shut: readonly string[] }>(
      actor,
      async (change) => {
        const shut = await revokeCertificates(change, terminal, { reason: 'superseded', keep: [shown] });
        const still = await change.db
          .selectFrom('certificates')
          .select('serial_number')
          .where('serial_number', '=', shown)
          .where('revoked_at_ms', 'is', null)
          .executeTakeFirst();
        if (!still) return change.abandon({ kind: 'refused', reason: 'revoked' });
        await certificates.record(change, terminal, made);
        const { serialNumber, notAfterMs, keyId } = made;
        await change.audit({
          action: 'certificate-renewed',
          body: { terminal, serialNumber, notAfterMs, keyId, revoked: shut },
        });
        return { shut };
      },
    );
    if ('kind' in result) return result;
    return this.#certified(terminal, made, result.shut);
  }

  #certified(
    terminal: string,
    { serialNumber, certificate }: MadeCertificate,
    shut: readonly string[],
  ): Certification {
    const { organization, admission, certificates } = this.#parts;
    const identity = { organization, terminal };
    admission.admit({ identity, serialNumber, fingerprint: fingerprintOf(certificate) });
    admission.shut(organization, shut);
    return { kind: 'certified', chain: certificates.chain(certificate) };
  }

  async #enrolment(terminal: string, secret: string) {
    // by the hash of what is shown: how long that takes says nothing about the one that is kept
    return this.#parts.ledger.db
      .selectFrom('enrolments')
      .selectAll()
      .where('terminal_id', '=', terminal)
      .where('secret_hash', '=', hashOfSecret(secret))
      .executeTakeFirst();
  }

  async #again(serialNumber: string, keyId: string): Promise<Certification> {
    const given = await this.#parts.certificates.good(serialNumber);
    if (given?.key_id !== keyId) return { kind: 'refused', reason: 'secret' };
    return { kind: 'certified', chain: this.#parts.certificates.chain(given.certificate) };
  }

  async #isDue(present: PermissionsTables['certificates']): Promise<boolean> {
    const nowMs = this.#parts.clock.utcMs();
    const { terminal_id, not_before_ms: from, not_after_ms: until } = present;
    if (nowMs < (from + until) / 2) return false;
    const newer = await this.#parts.ledger.db
      .selectFrom('certificates')
      .select('serial_number')
      .where('terminal_id', '=', terminal_id)
      .where('revoked_at_ms', 'is', null)
      .where('not_before_ms', '>', Math.max(from, nowMs - againAfterMs))
      .executeTakeFirst();
    return newer === undefined;
  }

  /** The certificate that these keys were given before. */
  async #given(terminal: string, keyId: string): Promise<Uint8Array | undefined> {
    const row = await this.#parts.ledger.db
      .selectFrom('certificates')
      .select('certificate')
      .where('terminal_id', '=', terminal)
      .where('key_id', '=', keyId)
      .where('revoked_at_ms', 'is', null)
      .where('not_after_ms', '>', this.#parts.clock.utcMs())
      .orderBy('not_before_ms', 'desc')
      .executeTakeFirst();
    return row?.certificate;
  }
}
