import type { Command } from 'commander';
import { loadTerminalConfig } from '#terminal/config.ts';
import { createOutput } from './output.ts';

export function registerConfigCheck(config: Command): void {
  config
    .command('check')
    .description(
      'Check a terminal configuration with its card profiles; every problem is shown with its line',
    )
    .argument('<file>', 'configuration, such as device-config/terminals/entrance.yaml')
    .action(async (file: string, _options: unknown, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      const loaded = await loadTerminalConfig(file);
      const remarks = loaded.keyFile
        ? ['keys not sealed: the key file is protected by its file mode alone']
        : [];
      const { config: parsed, profiles } = loaded;
      output.result(
        {
          valid: true,
          terminal: parsed.terminal,
          readers: parsed.readers.map(({ id, name, door }) => ({ id, name, door })),
          doors: parsed.doors.map(({ id }) => id),
          profiles: profiles.map(({ id, method, synthetic }) => ({ id, method, synthetic })),
          remarks,
        },
        [
          `${file}: valid`,
          ...parsed.readers.map(({ id, name, door }) => `reader ${id}: "${name}" opens door ${door}`),
          ...profiles.map(
            ({ id, method, synthetic }) => `profile ${id}: ${method}${synthetic ? ', synthetic' : ''}`,
          ),
          ...remarks.map((remark) => `remark: ${remark}`),
        ].join('\n'),
      );
    });
}
