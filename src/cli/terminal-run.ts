import type { Command } from 'commander';

export function registerTerminalRun(terminal: Command): void {
  terminal
    .command('run')
    .description('Run the terminal of this device until stopped (SIGTERM or Ctrl-C)')
    .requiredOption('--config <file>', 'configuration, such as /etc/kazasu/terminal.yaml')
    .addHelpText(
      'after',
      '\nThe systemd unit runs src/terminal/main.ts directly; this command does the same by hand.',
    )
    .action(async ({ config }: { config: string }) => {
      const { runTerminal } = await import('#terminal/main.ts');
      await runTerminal(config);
    });
}
