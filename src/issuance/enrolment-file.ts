import { SystemEntropy } from '#adapters/os/entropy.ts';
import { toBase64 } from '#core/bytes/base64.ts';
import { Fault } from '#core/fault.ts';
import { type EnrolmentFile, enrolmentFileSchema } from '#core/sync/enrolment.ts';
import { authorityFilesOf } from './authority-files.ts';
import type { Issuance } from './main.ts';
import type { Actor } from './storage/ledger.ts';
import { TerminalRegister } from './terminals/terminal-register.ts';
import { openTrust } from './trust-files.ts';

export interface EnrolmentOrder {
  readonly organization: string;
  readonly terminal: string;
  /** the name of the terminal where absent */
  readonly name?: string;
  readonly termMs?: number;
  /** addresses of the server; as the configuration says where absent */
  readonly servers?: readonly string[];
  /** certificate (DER) of the platform, and root of trust as it was signed; those that are here where absent */
  readonly authority?: Uint8Array;
  readonly trustRoot?: Uint8Array;
}

/**
 * Prepares the enrolment of a terminal; what it resolves to is carried to the device, once. Rejects with
 * `argument-invalid`, and with faults of key files.
 */
export async function prepareEnrolment(
  issuance: Pick<Issuance, 'config' | 'clock' | 'organizations' | 'signingKeys'>,
  order: EnrolmentOrder,
  actor: Actor,
): Promise<EnrolmentFile> {
  const { organizations, clock, config } = issuance;
  const { organization: id, terminal, name = terminal, termMs } = order;
  const organization = await organizations.find(id);
  if (!organization) throw new Fault('argument-invalid', `there is no organization "${id}"`);
  const servers = order.servers ?? ownAddress(config.terminals);
  const authorities = authorityFilesOf(issuance);
  const authority = order.authority ?? (await authorities.platform()).at(-1) ?? new Uint8Array();
  const trustRoot = order.trustRoot ?? (await ownRoot(issuance, id));
  const register = new TerminalRegister({
    ledger: await organizations.ledger(organization),
    clock,
    entropy: new SystemEntropy(),
  });
  const enrolment = { terminal, name, ...(termMs !== undefined && { termMs }) };
  const { secret, expiresAtMs } = await register.prepareEnrolment(enrolment, actor);
  return enrolmentFileSchema.parse({
    type: 'enrolment',
    format: 1,
    ...{ organization: id, terminal, servers, secret, expiresAtMs },
    authority: toBase64(authority),
    trustRoot: toBase64(trustRoot),
  });
}

function ownAddress(terminals: Issuance['config']['terminals']): readonly string[] {
  const [host] = terminals?.hosts ?? [];
  if (!terminals || host === undefined)
    throw new Fault(
      'argument-invalid',
      'the configuration has no "terminals": name the address of the server',
    );
  return [`https://${host.includes(':') ? `[${host}]` : host}:${terminals.port}`];
}

async function ownRoot(
  issuance: Pick<Issuance, 'config' | 'clock' | 'signingKeys'>,
  id: string,
): Promise<Uint8Array> {
  const trust = await openTrust(issuance, id, (fault) => {
    throw fault;
  });
  const newest = [...(await trust.roots()).values()].at(-1);
  if (!newest) {
    const why = `no root of trust of "${id}" is here: put it into the authorities (docs/trust.md), or name it`;
    throw new Fault('argument-invalid', why);
  }
  return newest;
}
