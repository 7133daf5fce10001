import { pino } from 'pino';
import { type AllowedReader, PcscReaders } from '#adapters/pcsc/pcsc-readers.ts';
import type { CardProfile } from '#core/card/profile.ts';
import { Fault } from '#core/fault.ts';
import type { CardReaderEvents, ReaderStatus } from '#ports/card-reader.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';

export interface CommandReadersOptions {
  readonly allowed: readonly AllowedReader[];
  readonly profiles: readonly CardProfile[];
  readonly keys: KeyDerivation;
}

/** Events that nobody waits for. */
export const nothing: CardReaderEvents = {
  readerChanged: () => undefined,
  cardDetected: () => undefined,
  cardClaimed: () => undefined,
  cardPresented: () => undefined,
  cardRemoved: () => undefined,
};

const noKeys: KeyDerivation = {
  cardKeys: async () => {
    throw new Fault('key-unavailable', 'the card AP demands keys: name their file with --keys');
  },
};

/** The keys of commands that were given none. */
export function withoutKeys(): KeyDerivation {
  return noKeys;
}

/** Readers for a command: virtual ones are allowed, and what they tell goes to the command alone. */
export function commandReaders(options: CommandReadersOptions): PcscReaders {
  return new PcscReaders({ ...options, virtualReaders: 'allowed', log: pino({ level: 'silent' }) });
}

/** Every reader that pcscd has. Throws a Fault `reader-service-absent` when pcscd does not answer. */
export async function presentReaders(): Promise<readonly ReaderStatus[]> {
  const readers = commandReaders({ allowed: [], profiles: [], keys: noKeys });
  await readers.start(nothing);
  const [fault, list] = [readers.serviceFault(), readers.list()];
  await readers.stop();
  if (fault) {
    const hint = 'install pcscd and start it (as root: systemctl start pcscd, or pcscd --foreground)';
    throw new Fault('reader-service-absent', `pcscd does not answer; ${hint}`, { cause: fault });
  }
  return list;
}

/** The reader named, or every one there is. Throws a Fault `reader-absent` that lists those connected. */
export async function chosenReaders(wanted: string | undefined): Promise<readonly string[]> {
  const present = (await presentReaders()).map(({ name }) => name);
  if (present.length === 0) throw new Fault('reader-absent', 'no reader is connected');
  if (wanted === undefined) return present;
  if (present.includes(wanted)) return [wanted];
  const known = present.map((name) => `"${name}"`).join(', ');
  throw new Fault('reader-absent', `there is no reader named "${wanted}"; connected: ${known}`);
}
