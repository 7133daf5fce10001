import type { Command } from 'commander';
import { createOutput } from './output.ts';

interface EnrolOptions {
  readonly config: string;
  readonly file: string;
  readonly json?: boolean;
}

export function registerTerminalEnrol(terminal: Command): void {
  terminal
    .command('enrol')
    .description('Make this device a terminal of an organization; can be repeated until it succeeds')
    .requiredOption('--config <file>', 'Configuration of the terminal')
    .requiredOption('--file <file>', 'Enrolment file that an administrator made; it can be used once')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<EnrolOptions>();
      const { enrolTerminal } = await import('./enrol-terminal.ts');
      const { organization, terminal: name, notAfterMs } = await enrolTerminal(options);
      const until = new Date(notAfterMs).toISOString();
      createOutput(options.json === true).result(
        { organization, terminal: name, certificateUntil: until },
        `this device is terminal ${name} of ${organization}; its certificate holds until ${until} and is renewed by itself. ` +
          'Start the terminal anew: from then on it goes by the policy of its server alone, and opens nothing before it has come',
      );
    });
}
