import { SystemEntropy } from '#adapters/os/entropy.ts';
import { createFile } from '#adapters/process/durable-file.ts';
import { Fault } from '#core/fault.ts';
import { enrolmentFileSchema } from '#core/sync/enrolment.ts';
import { terminalPlacesSchema } from '#core/sync/presence.ts';
import { encodeSigned } from '#core/sync/signed.ts';
import { prepareEnrolment } from '#issuance/enrolment-file.ts';
import { TerminalRegister, type TerminalSummary } from '#issuance/terminals/terminal-register.ts';
import { rootStanding } from '#issuance/trust/ceremony.ts';
import { commandActor, withIssuance } from './issuance-organization.ts';
import { createOutput } from './output.ts';
import { readCertificates, readRoot } from './trust-ceremony.ts';

interface RegisterOptions {
  readonly config: string;
  readonly organization: string;
  readonly json?: boolean;
}

type PrepareOptions = RegisterOptions & {
  readonly server?: readonly string[];
  readonly authority?: string;
  readonly root?: string;
  readonly out: string;
  readonly name?: string;
  readonly days?: number;
};

export async function prepareTerminal(terminal: string, options: PrepareOptions): Promise<void> {
  const { organization, server: servers, authority, root, name, days, out } = options;
  const trustRoot = root === undefined ? undefined : await readTrustRoot(root, organization);
  // the platform's own certificate is the last of those that were made with it
  const platform = authority === undefined ? undefined : (await readCertificates(authority)).at(-1);
  const wrong = servers?.find((url) => !enrolmentFileSchema.shape.servers.safeParse([url]).success);
  if (wrong !== undefined)
    throw new Fault('argument-invalid', `"${wrong}" is no address such as https://issuance.example:8444`);
  await withIssuance(options.config, async (issuance) => {
    const order = {
      ...{ organization, terminal },
      ...(name !== undefined && { name }),
      ...(days !== undefined && { termMs: days * 86_400_000 }),
      ...(servers && { servers }),
      ...(platform && { authority: platform }),
      ...(trustRoot && { trustRoot }),
    };
    const file = await prepareEnrolment(issuance, order, commandActor());
    await createFile(out, Buffer.from(`${JSON.stringify(file, null, 2)}\n`));
    const until = new Date(file.expiresAtMs).toISOString();
    createOutput(options.json === true).result(
      { terminal, organization, file: out, until },
      `${out}: makes one device terminal ${terminal} of ${organization}, once, until ${until}; carry it like a key`,
    );
  });
}

async function readTrustRoot(file: string, organization: string): Promise<Uint8Array> {
  const { document, root } = await readRoot(file);
  if (root.organization !== organization || rootStanding(document) !== 'complete') {
    throw new Fault('argument-invalid', `${file} is no root of ${organization} that enough keys have signed`);
  }
  return encodeSigned(document);
}

export async function listTerminals(options: RegisterOptions): Promise<void> {
  await withRegister(options, async (register) => {
    const terminals = await register.list();
    const date = (ms: number | undefined) => (ms === undefined ? '' : new Date(ms).toISOString());
    createOutput(options.json === true).result(
      { terminals },
      terminals
        .map((one) =>
          [one.terminal, one.state, standing(one), date(one.certificateUntilMs), one.name].join('\t'),
        )
        .join('\n'),
    );
  });
}

function standing({ presence }: TerminalSummary): string {
  if (!presence) return 'never heard of';
  const version = presence.policy?.installed?.version;
  if (presence.online) return version === undefined ? 'online' : `online, policy ${version}`;
  return `offline, last heard of ${new Date(presence.heardAtMs).toISOString()}`;
}

type PlacesOptions = RegisterOptions & {
  readonly door?: readonly string[];
  readonly zone?: readonly string[];
  readonly service?: readonly string[];
};

export async function enterPlaces(terminal: string, options: PlacesOptions): Promise<void> {
  const { door: doors = [], zone: zones = [], service: services = [], organization } = options;
  const checked = terminalPlacesSchema.safeParse({ doors, zones, services });
  if (!checked.success) throw new Fault('argument-invalid', checked.error.issues[0]?.message ?? 'no places');
  await withIssuance(options.config, async (issuance) => {
    const found = await issuance.services.find(organization);
    if (!found) throw new Fault('argument-invalid', `there is no organization "${organization}"`);
    if (!(await found.terminals.list()).some((one) => one.terminal === terminal))
      throw new Fault('argument-invalid', `${organization} has no terminal ${terminal}`);
    await found.places.put(terminal, checked.data, commandActor());
    const text = [...doors, ...zones, ...services].join(', ');
    createOutput(options.json === true).result({ terminal, ...checked.data }, `${terminal}: ${text}`);
  });
}

export async function shutTerminal(
  terminal: string,
  options: RegisterOptions & { readonly retired?: boolean },
): Promise<void> {
  await withRegister(options, async (register) => {
    if (!(await register.list()).some((one) => one.terminal === terminal)) {
      throw new Fault('argument-invalid', `${options.organization} has no terminal ${terminal}`);
    }
    const reason = options.retired ? 'cessation' : 'key-compromise';
    const revoked = await register.shut(terminal, reason, commandActor());
    createOutput(options.json === true).result(
      { terminal, revoked },
      `${terminal} is shut out: ${revoked.length} certificates revoked`,
    );
  });
}

async function withRegister(
  { config, organization: id }: RegisterOptions,
  action: (register: TerminalRegister) => Promise<void>,
): Promise<void> {
  await withIssuance(config, async ({ organizations, clock }) => {
    const organization = await organizations.find(id);
    if (!organization) throw new Fault('argument-invalid', `there is no organization "${id}"`);
    const ledger = await organizations.ledger(organization);
    await action(new TerminalRegister({ ledger, clock, entropy: new SystemEntropy() }));
  });
}
