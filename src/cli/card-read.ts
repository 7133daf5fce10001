import type { Command } from 'commander';
import { isVirtualReader } from '#adapters/pcsc/reader-name.ts';
import type { CardOutcome, PinOutcome, Reading } from '#core/card/reading.ts';
import { Fault } from '#core/fault.ts';
import type { PresentedCard } from '#ports/card-reader.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import { loadCardProfile } from '#terminal/config.ts';
import { keysHelp, withKeys } from './key-options.ts';
import { createOutput, type Output } from './output.ts';
import { chosenReaders, commandReaders, nothing, withoutKeys } from './pcsc-session.ts';
import { readPinFile } from './pin-file.ts';

interface ReadOptions {
  readonly profile: readonly string[];
  readonly keys?: string;
  readonly reader?: string;
  readonly pinFile?: string;
  readonly wait?: boolean;
}

/** Without --wait: how long a card that lies in a reader may take to show, pcscd's polling included. */
const showLimitMs = 2_000;

export function registerCardRead(card: Command): void {
  card
    .command('read')
    .description('Read a card AP and print method, assurance, user number and timings')
    .requiredOption('--profile <file...>', 'Card profiles, in order of preference')
    .option('--keys <file>', keysHelp)
    .option('--reader <name>', 'Exact name of the reader (default: every reader there is)')
    .option('--pin-file <file>', 'File with the PIN, readable by its owner alone; a PIN is verified once')
    .option('--wait', 'Wait until a card is held up')
    .action(async (options: ReadOptions, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      await withKeys(options.keys, (keys = withoutKeys()) => readCard(options, keys, output));
    });
}

async function readCard(options: ReadOptions, keys: KeyDerivation, output: Output): Promise<void> {
  const profiles = await Promise.all(options.profile.map(loadCardProfile));
  const pin = options.pinFile === undefined ? undefined : await readPinFile(options.pinFile);
  try {
    const profileIds = profiles.map(({ id }) => id);
    const allowed = (await chosenReaders(options.reader)).map((readerName) => ({ readerName, profileIds }));
    const readers = commandReaders({ allowed, profiles, keys });
    try {
      if (options.wait) output.note('hold a card to the reader');
      const presented = await firstCard(readers, options.wait ? undefined : showLimitMs);
      const verified =
        pin && presented.outcome.kind === 'reading' ? await presented.verifyPin(pin) : undefined;
      await presented.end();
      report(presented, verified, output);
    } finally {
      await readers.stop();
    }
  } finally {
    pin?.fill(0);
  }
}

/** The first card that any of the readers presents. Rejects with a Fault `deadline-exceeded` after `limitMs`. */
function firstCard(
  readers: ReturnType<typeof commandReaders>,
  limitMs: number | undefined,
): Promise<PresentedCard> {
  return new Promise((resolve, reject) => {
    const nothingShown = new Fault(
      'deadline-exceeded',
      'no card is in the reader; hold one up, or use --wait',
    );
    const timer = limitMs === undefined ? undefined : setTimeout(() => reject(nothingShown), limitMs);
    const cardPresented = (card: PresentedCard): void => {
      clearTimeout(timer);
      resolve(card);
    };
    readers.start({ ...nothing, cardPresented }).catch(reject);
  });
}

function report(card: PresentedCard, pin: PinOutcome | undefined, output: Output): void {
  const reading = readingOf(card.outcome, pin);
  const { readerName } = card;
  const virtual = isVirtualReader(readerName);
  if (reading && (pin === undefined || pin.kind === 'verified')) {
    output.result({ outcome: 'reading', readerName, virtual, reading }, describeReading(reading, card));
    return;
  }
  process.exitCode = 1;
  const failure = card.outcome.kind === 'reading' ? { pin } : { outcome: card.outcome };
  output.result({ readerName, virtual, ...failure }, describeFailure(card.outcome, pin));
}

function readingOf(outcome: CardOutcome, pin: PinOutcome | undefined): Reading | undefined {
  if (pin?.kind === 'verified') return pin.reading;
  return outcome.kind === 'reading' ? outcome.reading : undefined;
}

function describeReading(reading: Reading, { readerName }: PresentedCard): string {
  const { method, profileId, organization, userNumber, assurance, keyVersion, timings } = reading;
  const { connectUs, selectUs, authenticateUs, readUs, exchanges } = timings;
  const stages = `connect ${connectUs}, select ${selectUs}, authenticate ${authenticateUs}, read ${readUs}`;
  return [
    `reader       ${readerName}${isVirtualReader(readerName) ? ' (virtual)' : ''}`,
    `profile      ${profileId} of ${organization}`,
    `method       ${method}`,
    `assurance    ${assurance.length > 0 ? assurance.join(', ') : 'none'}`,
    `user number  ${userNumber}`,
    ...(keyVersion === undefined ? [] : [`key version  ${keyVersion}`]),
    `timings      ${stages} µs; ${exchanges} exchanges`,
  ].join('\n');
}

function describeFailure(outcome: CardOutcome, pin: PinOutcome | undefined): string {
  if (outcome.kind === 'reading' && pin) return describePin(pin);
  switch (outcome.kind) {
    case 'unknown-card':
      return 'the card has none of the card APs that the profiles describe';
    case 'removed':
      return 'the card was taken away too early: hold it up again';
    case 'timeout':
      return 'the card did not answer in time';
    case 'too-slow':
      return `the reading took too long: ${outcome.exchanges} exchanges, of which the card took ${outcome.cardUs} µs`;
    case 'refused':
      return `refused: ${outcome.fault.code}: ${outcome.fault.message}`;
    case 'reading':
      return '';
    default:
      return outcome satisfies never;
  }
}

function describePin(pin: PinOutcome): string {
  switch (pin.kind) {
    case 'wrong':
      return `the PIN is wrong; tries left: ${pin.triesLeft}`;
    case 'withheld':
      return `the PIN was not sent, since only ${pin.triesLeft} tries are left`;
    case 'blocked':
      return 'the PIN is blocked';
    case 'refused':
      return `the PIN was refused: ${pin.fault.code}: ${pin.fault.message}`;
    default:
      return `the PIN was not verified: ${pin.kind}`;
  }
}
