import type { Command } from 'commander';
import { wholeNumber } from './whole-number.ts';

const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** `issuance terminal`: which devices are terminals of an organization. */
export function registerIssuanceTerminal(issuance: Command): void {
  const terminal = issuance
    .command('terminal')
    .description('Prepare the enrolment of a terminal, list terminals, shut one out');
  terminal
    .command('prepare')
    .description('Write the file by which one device becomes a terminal, once; one prepared before is void')
    .argument('<terminal>', 'Name: lower-case letters a to z, digits and "-"')
    .requiredOption('--config <file>', 'Configuration of the server')
    .requiredOption('--organization <id>', 'Its organization')
    .requiredOption('--server <url>', 'Address of the server for terminals (https); may be repeated', many)
    .requiredOption('--authority <file>', 'Certificate of the platform (PEM)')
    .requiredOption('--root <file>', 'Root of trust of the organization, signed')
    .requiredOption('--out <file>', 'Enrolment file; a secret')
    .option('--name <name>', 'What people call it; the name of the terminal where absent')
    .option('--days <n>', 'How long it can be used, at most 90; 7 where absent', wholeNumber)
    .action(async (name: string, _: unknown, command: Command) => {
      await (await import('./terminal-register.ts')).prepareTerminal(name, command.optsWithGlobals());
    });
  terminal
    .command('list')
    .description('List the terminals of an organization and where each stands')
    .requiredOption('--config <file>', 'Configuration of the server')
    .requiredOption('--organization <id>', 'The organization')
    .action(async (_: unknown, command: Command) => {
      await (await import('./terminal-register.ts')).listTerminals(command.optsWithGlobals());
    });
  terminal
    .command('shut')
    .description('Shut a terminal out: its certificates and its enrolment are good no more')
    .argument('<terminal>', 'Name of the terminal')
    .requiredOption('--config <file>', 'Configuration of the server')
    .requiredOption('--organization <id>', 'Its organization')
    .option('--retired', 'It is out of use, and its key is not in wrong hands')
    .action(async (name: string, _: unknown, command: Command) => {
      await (await import('./terminal-register.ts')).shutTerminal(name, command.optsWithGlobals());
    });
}
