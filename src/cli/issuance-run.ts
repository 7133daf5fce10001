import type { Command } from 'commander';

export function registerIssuanceRun(issuance: Command): void {
  issuance
    .command('run')
    .description('Run the issuance server until stopped (SIGTERM or Ctrl-C)')
    .requiredOption('--config <file>', 'Configuration, such as /etc/kazasu/issuance.yaml')
    .action(async ({ config }: { config: string }) => {
      const { runIssuance } = await import('#issuance/main.ts');
      await runIssuance(config);
    });
}
