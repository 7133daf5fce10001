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
    .option(
      '--server <url>',
      'Address for terminals (https), as configured where absent; may be repeated',
      many,
    )
    .option('--authority <file>', "Certificate of the platform (PEM); the server's own where absent")
    .option('--root <file>', "Root of trust of the organization, signed; the server's own where absent")
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
    .command('places')
    .description('Enter where a terminal is that was not connected yet: it says so itself once it is')
    .argument('<terminal>', 'Name of the terminal')
    .requiredOption('--config <file>', 'Configuration of the server')
    .requiredOption('--organization <id>', 'Its organization')
    .option('--door <id>', 'Door of the policy that it serves; may be repeated', many)
    .option('--zone <id>', 'Zone that its readers lead to; may be repeated', many)
    .option('--service <id>', 'Service at its readers; may be repeated', many)
    .action(async (name: string, _: unknown, command: Command) => {
      await (await import('./terminal-register.ts')).enterPlaces(name, command.optsWithGlobals());
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
