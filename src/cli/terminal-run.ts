import type { Command } from 'commander';

export function registerTerminalRun(terminal: Command): void {
  terminal
    .command('run')
    .description('Run the terminal of this device until stopped (SIGTERM or Ctrl-C)')
    .requiredOption('--config <file>', 'Configuration, such as /etc/kazasu/terminal.yaml')
    .option('--control <socket>', 'Take commands of operators at this Unix socket')
    .addHelpText(
      'after',
      '\nThe systemd unit kazasu-terminal.service runs this command; two terminals never share a state directory.',
    )
    .action(async ({ config, control }: { config: string; control?: string }) => {
      const { runTerminal } = await import('#terminal/main.ts');
      await runTerminal(config, control);
    });
}
