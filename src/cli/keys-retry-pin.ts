import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { isFault } from '#core/fault.ts';
import { loadKeySource } from '#terminal/config.ts';
import { permitPinTry } from '#terminal/key-source.ts';
import { keysHelp, withVault } from './key-options.ts';
import { createOutput } from './output.ts';

/** how long the try of a terminal is waited for that took the permission first, and how often it is looked at */
const tries = { withinMs: 15_000, everyMs: 500 };

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
      await triedBySomebody(vault);
      output.result({ taken: true }, 'the token took the PIN; restart a terminal that uses it');
    });
}

/**
 * Logs in once. A terminal that waits for the permission may have taken it first: then its try is waited for, which
 * costs the token none, since no PIN is tried while the try of another is not known to have ended.
 */
async function triedBySomebody(vault: string): Promise<void> {
  const untilMs = performance.now() + tries.withinMs;
  for (;;) {
    try {
      return await withVault(vault, async () => undefined);
    } catch (error) {
      if (!isFault(error, 'key-unavailable') || performance.now() > untilMs) throw error;
      await delay(tries.everyMs);
    }
  }
}
