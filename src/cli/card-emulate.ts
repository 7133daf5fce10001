import { type Command, InvalidArgumentError } from 'commander';
import { Fault, isFault } from '#core/fault.ts';
import { loadVirtualCard } from '#simulators/card/virtual-card.ts';
import { findCardStack } from '#simulators/vpcd/pcscd.ts';
import { VpcdLink, vpcdPort } from '#simulators/vpcd/vpcd-link.ts';
import { createOutput } from './output.ts';

interface EmulateOptions {
  readonly card: string;
  readonly slot: number;
}

/** After a card has torn itself away, how long until it is held up again, in milliseconds. */
const backAfterMs = 1_000;

function parseSlot(text: string): number {
  const slot = Number(text);
  if (slot !== 0 && slot !== 1) throw new InvalidArgumentError('vpcd has the slots 0 and 1.');
  return slot;
}

export function registerCardEmulate(card: Command): void {
  card
    .command('emulate')
    .description('Hold a virtual card to a reader of vpcd until stopped (Ctrl-C)')
    .requiredOption('--card <file>', 'Card to be, such as src/simulators/card/decks/employee.yaml')
    .option('--slot <number>', 'Slot of vpcd, 0 or 1', parseSlot, 0)
    .action(async ({ card: file, slot }: EmulateOptions, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      const virtualCard = await loadVirtualCard(file);
      if (!(await findCardStack()).vpcd) {
        throw new Fault(
          'reader-service-absent',
          `nothing listens on port ${vpcdPort}: install pcscd and vsmartcard-vpcd, and as root start ` +
            'systemctl start pcscd, or pcscd --foreground',
        );
      }
      let back: NodeJS.Timeout | undefined;
      const link = new VpcdLink({
        slot,
        whenLost: 'retry',
        lost: (fault) => {
          if (!isFault(fault, 'card-removed')) return;
          output.note('the card has torn itself away; it comes back');
          back = setTimeout(() => void link.insert(virtualCard), backAfterMs);
        },
      });
      await link.insert(virtualCard);
      output.note(`the card is in "Virtual PCD 00 0${slot}"; stop with Ctrl-C`);
      await stopped();
      clearTimeout(back);
      link.remove();
      output.result({ emulated: file, slot }, '');
    });
}

function stopped(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}
