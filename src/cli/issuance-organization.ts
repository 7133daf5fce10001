import { userInfo } from 'node:os';
import type { Command } from 'commander';
import type { Issuance } from '#issuance/main.ts';
import type { Actor } from '#issuance/storage/ledger.ts';
import { createOutput } from './output.ts';

/** Runs `action` on what `configFile` describes, beside a server that may run on it, and closes it again. */
export async function withIssuance(
  configFile: string,
  action: (issuance: Issuance) => Promise<void>,
): Promise<void> {
  const { openIssuance } = await import('#issuance/main.ts');
  const issuance = await openIssuance(configFile, () => undefined);
  try {
    await action(issuance);
  } finally {
    await issuance.close();
  }
}

/** Whoever may run commands on the server: the audit journal says which account of the machine it was. */
export function commandActor(): Actor {
  return { id: userInfo().username, via: 'command-line' };
}

export function registerIssuanceOrganization(issuance: Command): void {
  issuance
    .command('organization')
    .description('Make an organization (団体) with databases of its own, or list those there are')
    .argument('[id]', 'Id of the organization to make: at most 32 of a to z, digits and "-"')
    .requiredOption('--config <file>', 'Configuration of the server')
    .option('--name <name>', 'Name as people know it; the id where absent')
    .action(async (id: string | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<{ config: string; name?: string; json?: boolean }>();
      const output = createOutput(options.json === true);
      await withIssuance(options.config, async (issuance) => {
        const { organizations, config } = issuance;
        if (id !== undefined) {
          await organizations.create({ id, name: options.name ?? id }, commandActor());
          const { openTrust } = await import('#issuance/trust-files.ts');
          if (config.terminals) await openTrust(issuance, id, () => undefined);
        }
        const list = await organizations.list();
        output.result(
          { organizations: list.map(({ id, name }) => ({ id, name })) },
          list.map(({ id, name }) => `${id}\t${name}`).join('\n'),
        );
      });
    });
}
