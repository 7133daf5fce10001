import { sql } from 'kysely';
import { Fault } from '#core/fault.ts';
import type { PolicyStatus, TerminalDevice } from '#core/sync/presence.ts';
import { terminalName } from '#core/sync/terminal-identity.ts';
import type { RevocationReason } from '#ports/certificates.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Actor, Change, Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { hashOfSecret } from './enrolment-secret.ts';

const day = 86_400_000;
/** how long a device may take to be mounted, by default and at most */
const usualTermMs = 7 * day;
const longestTermMs = 90 * day;

export interface TerminalRegisterParts {
  readonly ledger: Ledger<PermissionsTables>;
  readonly clock: Clock;
  readonly entropy: Entropy;
}

export interface TerminalSummary {
  readonly terminal: string;
  readonly name: string;
  /** `waiting`: never enrolled; `shut`: its certificates are revoked or have run out */
  readonly state: 'waiting' | 'enrolled' | 'shut';
  /** until when an enrolment file that was not used yet can be */
  readonly enrolmentUntilMs?: number;
  readonly certificateUntilMs?: number;
  /** absent where it was never heard of */
  readonly presence?: {
    readonly online: boolean;
    readonly heardAtMs: number;
    readonly device: TerminalDevice;
    /** of a terminal that takes its policy from this server */
    readonly policy?: PolicyStatus;
  };
}

/** Which terminals one organization has; what administrators do with them. */
export class TerminalRegister {
  readonly #parts: TerminalRegisterParts;

  constructor(parts: TerminalRegisterParts) {
    this.#parts = parts;
  }

  /**
   * Lets a device become `terminal`, once and until `expiresAtMs`; an enrolment prepared before is void. Where there is
   * a device already, it goes on until another takes its place. The secret is told this once.
   *
   * @throws Fault `argument-invalid` for what is no name, or a term too long
   */
  async prepareEnrolment(
    { terminal, name, termMs = usualTermMs }: { terminal: string; name: string; termMs?: number },
    actor: Actor,
  ): Promise<{ readonly secret: string; readonly expiresAtMs: number }> {
    const { ledger, entropy } = this.#parts;
    const checked = terminalName.safeParse(terminal);
    if (!checked.success) {
      throw new Fault('argument-invalid', `the name of a terminal ${checked.error.issues[0]?.message}`);
    }
    if (!(termMs > 0 && termMs <= longestTermMs)) {
      throw new Fault('argument-invalid', 'an enrolment can be used for at most 90 days');
    }
    const secret = Buffer.from(entropy.bytes(32)).toString('base64url');
    return ledger.change(actor, async ({ db, atMs, audit }) => {
      const expiresAtMs = atMs + termMs;
      await db
        .insertInto('terminals')
        .values({ terminal_id: terminal, name, made_at_ms: atMs })
        .onConflict((at) => at.column('terminal_id').doUpdateSet({ name }))
        .execute();
      const enrolment = {
        secret_hash: hashOfSecret(secret),
        made_by: actor.id,
        made_at_ms: atMs,
        expires_at_ms: expiresAtMs,
        serial_number: null,
      };
      await db
        .insertInto('enrolments')
        .values({ terminal_id: terminal, ...enrolment })
        .onConflict((at) => at.column('terminal_id').doUpdateSet(enrolment))
        .execute();
      await audit({ action: 'enrolment-prepared', body: { terminal, name, expiresAtMs } });
      return { secret, expiresAtMs };
    });
  }

  /**
   * Shuts a terminal out, and makes its enrolment void. Resolves to the numbers of its certificates that were good until
   * now: whoever serves connections cuts those with them.
   */
  shut(terminal: string, reason: RevocationReason, actor: Actor): Promise<readonly string[]> {
    return this.#parts.ledger.change(actor, async (change) => {
      const shut = await revokeCertificates(change, terminal, { reason });
      await change.db
        .updateTable('enrolments')
        .set({ expires_at_ms: change.atMs, secret_hash: '' })
        .where('terminal_id', '=', terminal)
        .execute();
      await change.audit({ action: 'terminal-shut', body: { terminal, reason, revoked: shut } });
      return shut;
    });
  }

  async list(): Promise<readonly TerminalSummary[]> {
    const { ledger, clock } = this.#parts;
    const nowMs = clock.utcMs();
    const terminals = await ledger.db.selectFrom('terminals').selectAll().orderBy('terminal_id').execute();
    const enrolments = new Map(
      (await ledger.db.selectFrom('enrolments').selectAll().execute()).map((row) => [row.terminal_id, row]),
    );
    const certificates = await this.#certificates(nowMs);
    const states = new Map(
      (await ledger.db.selectFrom('terminal_states').selectAll().execute()).map((row) => [
        row.terminal_id,
        {
          online: nowMs < row.offline_from_ms,
          heardAtMs: row.heard_at_ms,
          device: JSON.parse(row.state) as TerminalDevice,
          ...(row.policy !== null && { policy: JSON.parse(row.policy) as PolicyStatus }),
        },
      ]),
    );
    return terminals.map(({ terminal_id: terminal, name }) => {
      const presence = states.get(terminal);
      const until = certificates.get(terminal);
      const enrolment = enrolments.get(terminal);
      const open = enrolment?.serial_number === null && enrolment.expires_at_ms > nowMs && enrolment;
      return {
        terminal,
        name,
        state: until === undefined ? 'waiting' : until === null ? 'shut' : 'enrolled',
        ...(open && { enrolmentUntilMs: open.expires_at_ms }),
        ...(typeof until === 'number' && { certificateUntilMs: until }),
        ...(presence && { presence }),
      };
    });
  }

  /** By terminal, until when its certificate is good; null where it has none that is good any more. */
  async #certificates(nowMs: number): Promise<ReadonlyMap<string, number | null>> {
    const { rows } = await sql<{ terminal_id: string; until: number | null }>`
      select terminal_id, max(case when revoked_at_ms is null and not_after_ms > ${nowMs} then not_after_ms end) as until
      from certificates group by terminal_id`.execute(this.#parts.ledger.db);
    return new Map(rows.map(({ terminal_id, until }) => [terminal_id, until]));
  }
}

/** Revokes the certificates of a terminal that are good, but for those in `keep`; resolves to their numbers. */
export async function revokeCertificates(
  { db, atMs }: Change<PermissionsTables>,
  terminal: string,
  { reason, keep = [] }: { readonly reason: RevocationReason; readonly keep?: readonly string[] },
): Promise<readonly string[]> {
  const good = await db
    .selectFrom('certificates')
    .select('serial_number')
    .where('terminal_id', '=', terminal)
    .where('revoked_at_ms', 'is', null)
    .execute();
  const serials = good.map((row) => row.serial_number).filter((serial) => !keep.includes(serial));
  if (serials.length > 0) {
    await db
      .updateTable('certificates')
      .set({ revoked_at_ms: atMs, reason })
      .where('serial_number', 'in', serials)
      .execute();
  }
  return serials;
}
