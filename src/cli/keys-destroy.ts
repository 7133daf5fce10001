import type { Command } from 'commander';
import { Fault } from '#core/fault.ts';
import { keysHelp, withVault } from './key-options.ts';
import { masterKeyText } from './keys-list.ts';
import { createOutput } from './output.ts';
import { wholeNumber } from './whole-number.ts';

interface DestroyOptions {
  readonly vault: string;
  readonly profile: string;
  readonly keyVersion: number;
  readonly confirm?: string;
  readonly json?: boolean;
}

/** `keys destroy`: a master key, for good. */
export function registerKeysDestroy(keys: Command): void {
  keys
    .command('destroy')
    .description('Destroy a master key in a vault, for good: its cards are refused from then on')
    .requiredOption('--vault <file>', keysHelp)
    .requiredOption('--profile <id>', 'Id of the card profile')
    .requiredOption('--key-version <number>', 'Version of the key', wholeNumber)
    .option(
      '--confirm <value>',
      'Check value of the key, as `keys list` shows it; `unfit` for one that is unfit',
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<DestroyOptions>();
      const { vault, profile: profileId, keyVersion: version, confirm } = options;
      const output = createOutput(options.json === true);
      const destroyed = await withVault(vault, async (opened) => {
        const key = (await opened.list()).find((it) => it.profileId === profileId && it.version === version);
        if (!key)
          throw new Fault('card-key-missing', `the vault has no key of ${profileId} version ${version}`);
        const word = 'unfit' in key ? 'unfit' : key.checkValue;
        if (confirm?.toUpperCase() !== word.toUpperCase()) {
          throw new Fault(
            'argument-invalid',
            `nothing was destroyed; if that is meant, repeat with --confirm ${word}`,
          );
        }
        await opened.destroy({ profileId, version });
        return key;
      });
      output.result({ destroyed }, `destroyed ${masterKeyText(destroyed)}`);
    });
}
