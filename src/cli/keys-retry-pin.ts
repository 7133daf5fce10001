import type { Command } from 'commander';
import { loadKeySource } from '#terminal/config.ts';
import { permitPinTry } from '#terminal/key-source.ts';
import { keysHelp, withVault } from './key-options.ts';
import { createOutput } from './output.ts';

/** `keys retry-pin`: one more try of a PIN that a token refused, or whose try was cut off. */
export function registerKeysRetryPin(keys: Command): void {
  keys
    .command('retry-pin')
    .description('Try the PIN of a token once more, which was refused before or whose try was cut off')
    .requiredOption('--vault <file>', keysHelp)
    .addHelpText(
      'after',
      '\nA token counts wrong PINs and locks. First look into the PIN file; a corrected PIN needs no permission.',
    )
    .action(async ({ vault }: { vault: string }, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      permitPinTry(await loadKeySource(vault));
      await withVault(vault, async () => undefined);
      output.result({ taken: true }, 'the token took the PIN; restart a terminal that uses it');
    });
}
