import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { SystemClock } from '#adapters/os/clock.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type { CardOutcome, PinOutcome } from '#core/card/reading.ts';
import { CardSession } from '#core/card/session.ts';
import { formatTrace, type TraceHeader, traceFormatVersion } from '#core/card/trace/trace-format.ts';
import { TraceRecorder } from '#core/card/trace/trace-recorder.ts';
import { Fault } from '#core/fault.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import { loadCardProfile } from '#terminal/config.ts';
import { withCardInHand } from './card-in-hand.ts';
import { counted } from './counted.ts';
import { keysHelp, withKeys } from './key-options.ts';
import { createOutput, type Output } from './output.ts';
import { withoutKeys } from './pcsc-session.ts';
import { readPinFile } from './pin-file.ts';

interface TraceOptions {
  readonly profile: readonly string[];
  readonly output: string;
  readonly keys?: string;
  readonly reader?: string;
  readonly pinFile?: string;
  readonly testCard?: string;
  readonly keepProtected?: boolean;
  readonly wait?: boolean;
}

export function registerCardTrace(card: Command): void {
  card
    .command('trace')
    .description(
      'Record the exchange with a test card for support, its secrets masked; read it with card explain',
    )
    .requiredOption('--profile <file...>', 'Card profiles, in order of preference')
    .requiredOption('--output <file>', 'File to write, for its owner alone; it must not exist yet')
    .option('--keys <file>', keysHelp)
    .option('--reader <name>', 'Exact name of the reader (default: every reader there is)')
    .option('--pin-file <file>', 'File with the PIN, readable by its owner alone; a PIN is verified once')
    .option(
      '--test-card <number>',
      'User number of the test card, for a profile that is not synthetic: no other card is recorded',
    )
    .option(
      '--keep-protected',
      'Keep protected messages, to be opened by whoever has the keys of the card AP',
    )
    .option('--wait', 'Wait until a card is held up')
    .action(async (options: TraceOptions, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      await traceCard(options, output, programVersion(command));
    });
}

/** The version that the program prints. */
function programVersion(command: Command): string {
  let top = command;
  while (top.parent) top = top.parent;
  return top.version() ?? '';
}

interface Recording {
  readonly readerName: string;
  readonly recorder: TraceRecorder;
  readonly outcome: CardOutcome;
  readonly pin: PinOutcome | undefined;
}

async function traceCard(options: TraceOptions, output: Output, program: string): Promise<void> {
  const profiles = await Promise.all(options.profile.map(loadCardProfile));
  demandTestCard(profiles, options.testCard);
  const recordedAt = new Date(new SystemClock().utcMs()).toISOString();
  const recording = await withKeys(options.keys, (keys = withoutKeys()) =>
    record(options, { profiles, keys }, output),
  );
  try {
    const { readerName, recorder, outcome, pin } = recording;
    const protection = protectionOf(options, profiles, outcome, output);
    const header: TraceHeader = {
      kind: 'card-trace',
      formatVersion: traceFormatVersion,
      program,
      recordedAt,
      readerName,
      profiles: profiles.map(({ id }) => id),
      protection,
    };
    const exchanges = recorder.exchanges(protection);
    const fault =
      outcome.kind === 'refused' ? outcome.fault : pin?.kind === 'refused' ? pin.fault : undefined;
    const ending = {
      kind: 'outcome' as const,
      outcome: outcome.kind,
      ...(pin && { pin: pin.kind }),
      ...(fault && { fault: { code: fault.code, message: fault.message } }),
    };
    await writeTrace(options.output, formatTrace({ header, exchanges, outcome: ending }));
    const told = { output: options.output, exchanges: exchanges.length, outcome: outcome.kind, protection };
    output.result(
      told,
      `${counted(exchanges.length, 'exchange')}, ended as: ${outcome.kind}; written to ${options.output}`,
    );
  } finally {
    recording.recorder.close();
  }
}

/** Nobody records the cards of people by mistake: a real card AP needs a card named beforehand. */
function demandTestCard(profiles: readonly CardProfile[], testCard: string | undefined): void {
  const real = profiles.filter(({ synthetic }) => !synthetic).map(({ id }) => id);
  if (real.length === 0 || testCard !== undefined) return;
  throw new Fault(
    'argument-invalid',
    `${real.join(', ')} describes cards that people carry: name the user number of a test card with --test-card; ` +
      'the exchange with any other card is not written',
  );
}

function demandSameCard(outcome: CardOutcome, testCard: string | undefined): void {
  if (testCard === undefined || outcome.kind !== 'reading' || outcome.reading.userNumber === testCard) return;
  throw new Fault(
    'argument-invalid',
    'the card is not the test card that --test-card names; nothing was written',
  );
}

/** Of a card that could not be read nobody knows whose it is: then nothing that tells cards apart is kept. */
function protectionOf(
  { keepProtected }: TraceOptions,
  profiles: readonly CardProfile[],
  outcome: CardOutcome,
  output: Output,
): TraceHeader['protection'] {
  if (!keepProtected) return 'masked';
  if (outcome.kind === 'reading' || profiles.every(({ synthetic }) => synthetic)) return 'kept';
  output.note(
    'the card could not be read, so that it may be anybody’s: protected messages are masked all the same',
  );
  return 'masked';
}

async function record(
  options: TraceOptions,
  { profiles, keys }: { readonly profiles: readonly CardProfile[]; readonly keys: KeyDerivation },
  output: Output,
): Promise<Recording> {
  const { reader, testCard } = options;
  const waitFor = options.wait ? 'hold the test card to the reader' : undefined;
  const pin = options.pinFile === undefined ? undefined : await readPinFile(options.pinFile);
  try {
    return await withCardInHand({ reader, waitFor }, output, async ({ card, randomBytes, monotonicUs }) => {
      const recorder = new TraceRecorder({ transmit: card.transmit, profiles, monotonicUs });
      const session = new CardSession({
        transmit: recorder.transmit,
        profiles,
        cardKeys: keys.cardKeys.bind(keys),
        randomBytes,
        monotonicUs,
        presentedAtUs: monotonicUs(),
      });
      try {
        const outcome = await session.read();
        // before the PIN: nobody else's card shall lose a try
        demandSameCard(outcome, testCard);
        const verified = pin && outcome.kind === 'reading' ? await session.verifyPin(pin) : undefined;
        return { readerName: card.readerName, recorder, outcome, pin: verified };
      } catch (error) {
        recorder.close();
        throw error;
      } finally {
        session.close();
      }
    });
  } finally {
    pin?.fill(0);
  }
}

async function writeTrace(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new Fault('argument-invalid', `${path} exists already; name another file`, { cause: error });
  }
}
