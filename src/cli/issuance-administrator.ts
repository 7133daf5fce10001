import { type Command, Option } from 'commander';
import { Fault } from '#core/fault.ts';
import { type Role, roles } from '#issuance/administrators/roles.ts';
import { shortId } from '#issuance/organizations/organizations.ts';
import { commandActor, withIssuance } from './issuance-organization.ts';
import { createOutput } from './output.ts';

interface Options {
  readonly config: string;
  readonly organization: string;
  readonly name?: string;
  readonly role: Role;
  readonly breakGlass?: boolean;
  readonly renew?: boolean;
  readonly json?: boolean;
}

export function registerIssuanceAdministrator(issuance: Command): void {
  issuance
    .command('administrator')
    .description(
      'Make an administrator of an organization, such as its first; its credentials are shown once',
    )
    .argument('<id>', 'Id to sign in with, at most 32 characters')
    .requiredOption('--config <file>', 'Configuration of the server')
    .requiredOption('--organization <id>', 'Organization that it administers')
    .option('--name <name>', 'Name of the person; the id where absent')
    .addOption(
      new Option('--role <role>', 'What it may do').choices([...roles]).default('organization-admin'),
    )
    .option(
      '--break-glass',
      'For when nobody else can sign in: no one-time password, and every use is an alarm',
    )
    .option('--renew', 'New credentials for an administrator there is, whose own are lost')
    .action(async (id: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const checked = shortId.safeParse(id);
      if (!checked.success) {
        throw new Fault('argument-invalid', `the id ${checked.error.issues[0]?.message ?? 'is wrong'}`);
      }
      await withIssuance(options.config, async ({ services }) => {
        const found = await services.find(options.organization);
        if (!found) throw new Fault('argument-invalid', `there is no organization "${options.organization}"`);
        const { administrators } = found;
        const credentials = options.renew
          ? await administrators.renewCredentials(id, commandActor())
          : (
              await administrators.create(
                {
                  id,
                  name: options.name ?? id,
                  roles: [options.role],
                  sites: [],
                  breakGlass: options.breakGlass === true,
                },
                commandActor(),
              )
            ).credentials;
        if (!credentials) throw new Fault('argument-invalid', `there is no administrator "${id}"`);
        const { password, oneTimePasswordAddress } = credentials;
        const lines = [`password: ${password}`];
        if (oneTimePasswordAddress) lines.push(`authenticator app: ${oneTimePasswordAddress}`);
        createOutput(options.json === true).result({ administrator: id, ...credentials }, lines.join('\n'));
      });
    });
}
