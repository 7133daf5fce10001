import type { Command } from 'commander';
import { Fault } from '#core/fault.ts';
import { withIssuance } from './issuance-organization.ts';
import { createOutput } from './output.ts';

/** `issuance broker`: what a broker that is a program of its own needs. */
export function registerIssuanceBroker(issuance: Command): void {
  issuance
    .command('broker')
    .description('A broker that is a program of its own')
    .command('config')
    .description(
      'Write configuration, certificates and revocation lists of the broker that the configuration names',
    )
    .requiredOption('--config <file>', 'Configuration of the server')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<{ config: string; json?: boolean }>();
      const output = createOutput(options.json === true);
      await withIssuance(options.config, async (issuance) => {
        const { terminals } = issuance.config;
        if (!terminals || terminals.broker.kind === 'embedded') {
          throw new Fault(
            'argument-invalid',
            'terminals.broker of the configuration names no broker of its own (docs/brokers.md)',
          );
        }
        const { TerminalGateway } = await import('#issuance/terminal-gateway.ts');
        const { destination, pino } = await import('pino');
        const log = pino({ level: 'warn' }, destination(2));
        await new TerminalGateway({ issuance, config: terminals, log }).prepare();
        const { kind, directory } = terminals.broker;
        output.result({ broker: kind, directory }, `${kind}: ${directory}`);
      });
    });
}
