import type { Command } from 'commander';
import { PolicyInstaller } from '#adapters/sqlite/policy-installer.ts';
import { Fault } from '#core/fault.ts';
import { confirmNumber } from './confirmation.ts';
import { counted } from './counted.ts';
import { createOutput } from './output.ts';
import { wholeNumber } from './whole-number.ts';

/** `policy rollback`: back to the version before the last import. */
export function registerPolicyRollback(policy: Command): void {
  policy
    .command('rollback')
    .description('Go back to the version before the last import; a second time takes that back')
    .requiredOption('--database <file>', 'Policy database')
    .option('--confirm <number>', 'Go back although so many holders lose or gain access', wholeNumber)
    .addHelpText(
      'after',
      '\nA card that was suspended by the last import works again afterwards: look at who gains access.',
    )
    .action(async (_: unknown, command: Command) => {
      const { database, confirm, json } = command.optsWithGlobals<{
        database: string;
        confirm?: number;
        json?: boolean;
      }>();
      const output = createOutput(json === true);
      const installer = new PolicyInstaller({ file: database });
      await installer.start();
      try {
        const outcome = await installer.rollBack({
          nowMs: Date.now(),
          confirm: ({ losingAccess, gainingAccess }) => {
            const number = losingAccess + gainingAccess;
            const question = `${losingAccess} lose access and ${gainingAccess} gain it. Type ${number} to go back: `;
            return confirmNumber({ number, given: confirm, question }, output);
          },
        });
        const { preview, version } = outcome;
        const { holders, cards, losingAccess, gainingAccess } = preview;
        const changed = `${counted(holders, 'holder')}, ${counted(cards, 'card')}; ${losingAccess} lose access, ${gainingAccess} gain it`;
        if (!version) {
          throw new Fault(
            'policy-import-refused',
            `not confirmed: ${changed}; confirm with --confirm ${losingAccess + gainingAccess}`,
          );
        }
        output.result(
          outcome,
          `policy version ${version.number} is as the one before the last import (${changed})`,
        );
      } finally {
        await installer.stop();
      }
    });
}
