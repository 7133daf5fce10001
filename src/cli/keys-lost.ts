import type { Command } from 'commander';
import { counted } from './counted.ts';
import { exportedTo, registerHeader } from './export-register.ts';
import { createOutput } from './output.ts';

interface LostOptions {
  readonly register: string;
  readonly terminal: string;
  readonly json?: boolean;
}

/** `keys lost`: the cards to give new keys when a terminal is lost. */
export function registerKeysLost(keys: Command): void {
  keys
    .command('lost')
    .description('List the cards whose keys a lost terminal held, to be given new keys (CSV)')
    .requiredOption('--terminal <name>', 'Name of the lost terminal')
    .requiredOption('--register <folder>', 'Folder that `keys export-cards` notes its exports in')
    .action(async (_: unknown, command: Command) => {
      const { terminal, register, ...options } = command.optsWithGlobals<LostOptions>();
      const output = createOutput(options.json === true);
      const lines = await exportedTo(register, terminal);
      output.note(`terminal ${terminal} held the keys of ${counted(lines.length, 'card')}`);
      const cards = lines.map((line) => {
        const [profile = '', keyVersion = '', diversifier = ''] = line.split(',');
        return { profile, keyVersion: Number(keyVersion), diversifier };
      });
      output.result({ terminal, cards }, [registerHeader, ...lines].join('\n'));
    });
}
