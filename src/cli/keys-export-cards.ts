import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { replaceFile } from '#adapters/process/durable-file.ts';
import { CardKeyWriter } from '#adapters/sealed/card-key-file.ts';
import {
  fingerprint,
  isFingerprint,
  type Receiver,
  receiverFingerprint,
  receiverKey,
  receiverSchema,
} from '#adapters/sealed/receiving-key.ts';
import type { ListedCard } from '#core/card/card-list.ts';
import type { CardDiversification } from '#core/card/diversification.ts';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import type { KeyVault, ListedMasterKey } from '#ports/key-vault.ts';
import { loadCardProfile } from '#terminal/config.ts';
import { readCardList } from './card-list-file.ts';
import { counted } from './counted.ts';
import { type RegisteredCard, registerExport } from './export-register.ts';
import { keysHelp, withVault } from './key-options.ts';
import { createOutput } from './output.ts';

interface ExportOptions {
  readonly vault: string;
  readonly cards: string;
  readonly profile: readonly string[];
  readonly forTerminal: string;
  readonly fingerprint: string;
  readonly register: string;
  readonly out: string;
  readonly json?: boolean;
}

/** What a profile says of the keys of its cards. */
interface ProfileKeys {
  readonly diversification: CardDiversification;
  readonly versions: readonly number[];
}

/** cards whose keys are asked of the vault at once */
const batch = 8;

/** `keys export-cards`: the keys of the cards allowed at a terminal, for that terminal alone. */
export function registerKeysExportCards(keys: Command): void {
  keys
    .command('export-cards')
    .description('Derive the keys of the cards allowed at a terminal and encrypt them for it alone')
    .requiredOption('--vault <file>', keysHelp)
    .requiredOption('--cards <file>', 'List of cards or holders (CSV): profile, key version, diversifier')
    .requiredOption('--profile <file...>', 'Card profiles of these cards')
    .requiredOption('--for-terminal <file>', 'File from `keys receiver` of the terminal')
    .requiredOption('--fingerprint <text>', 'Fingerprint as the terminal showed it, learned another way')
    .requiredOption('--register <folder>', 'Where to note whose keys went to which terminal')
    .requiredOption('--out <file>', 'File for the terminal')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ExportOptions>();
      const output = createOutput(options.json === true);
      const { without, ...result } = await exportCards(options);
      if (without > 0)
        output.note(`${counted(without, 'line')} without diversified keys: their cards get none`);
      output.result(
        { ...result, linesWithoutKeys: without },
        `${options.out}: the keys of ${counted(result.count, 'card')} for terminal ${result.terminal}, fingerprint ${result.fingerprint}`,
      );
    });
}

async function exportCards(options: ExportOptions) {
  const receiver = await readReceiver(options.forTerminal);
  if (!isFingerprint(options.fingerprint, receiverFingerprint(receiver))) {
    throw new Fault(
      'argument-invalid',
      `${options.forTerminal} has another fingerprint: ask the terminal’s again`,
    );
  }
  const profiles = await readProfiles(options.profile);
  const { cards, without } = await readCardList(options.cards, new Set(profiles.keys()));
  if (cards.length === 0) {
    throw new Fault(
      'argument-invalid',
      `${options.cards} names no card that gets keys; nothing was exported`,
    );
  }
  const writer = new CardKeyWriter(receiverKey(receiver));
  try {
    const registered = await withVault(options.vault, (vault) => derive(vault, { cards, profiles, writer }));
    const exportedAt = new Date().toISOString();
    const exportId = `${exportedAt.replaceAll(/[-:]|\.\d+/g, '')}-${randomBytes(4).toString('hex')}`;
    const about = { terminal: receiver.terminal, exportId, exportedAt };
    const content = writer.finish(about);
    // noted first: keys that went out are never missing in the register
    await registerExport(options.register, about, registered);
    await replaceFile(options.out, content);
    return { ...about, count: registered.length, fingerprint: fingerprint(content), without };
  } finally {
    writer.close();
  }
}

async function derive(
  vault: KeyVault,
  parts: {
    readonly cards: readonly ListedCard[];
    readonly profiles: ReadonlyMap<string, ProfileKeys>;
    readonly writer: CardKeyWriter;
  },
): Promise<readonly RegisteredCard[]> {
  const { cards, profiles, writer } = parts;
  const wanted = wantedKeys(cards, profiles, await vault.list());
  const exported: RegisteredCard[] = [];
  for (let start = 0; start < wanted.length; start += batch) {
    const some = wanted.slice(start, start + batch);
    // all of them come to their end before a failure is told: no keys arrive that nobody zeroes
    const added = await Promise.allSettled(
      some.map(async (card) => {
        const known = profiles.get(card.profileId);
        if (!known) throw new Error('only cards of known profiles are read');
        return writer.add(card, await vault.cardKeys({ ...card, diversification: known.diversification }));
      }),
    );
    for (const [i, result] of added.entries()) {
      if (result.status === 'rejected') throw result.reason;
      const card = some[i];
      if (card && result.value) exported.push(card);
    }
  }
  return exported;
}

/**
 * Every version of every card to derive keys for. Throws `argument-invalid` with everything that cannot be had: an
 * export that left a card out would keep its holder out.
 */
function wantedKeys(
  cards: readonly ListedCard[],
  profiles: ReadonlyMap<string, ProfileKeys>,
  stored: readonly ListedMasterKey[],
): readonly RegisteredCard[] {
  const problems = new Set<string>();
  const wanted = cards.flatMap((card) => {
    const { profileId, diversifier } = card;
    const versions = versionsOf(card, profiles.get(profileId)?.versions ?? [], stored);
    if (!('problem' in versions))
      return versions.map((keyVersion) => ({ profileId, keyVersion, diversifier }));
    problems.add(versions.problem);
    return [];
  });
  if (problems.size > 0) throw new Fault('argument-invalid', [...problems].join('\n'));
  return wanted;
}

/** The version that is listed for a card, or where none is, those of its profile that are stored. */
function versionsOf(
  { profileId, keyVersion }: ListedCard,
  listed: readonly number[],
  stored: readonly ListedMasterKey[],
): readonly number[] | { readonly problem: string } {
  const profile = `card profile ${profileId}, which lists the versions ${listed.join(', ')}`;
  if (keyVersion !== undefined && !listed.includes(keyVersion)) {
    return { problem: `the list names key version ${keyVersion} of ${profile}` };
  }
  const wanted = keyVersion === undefined ? listed : [keyVersion];
  const keys = stored.filter((key) => key.profileId === profileId && wanted.includes(key.version));
  for (const key of keys) {
    if ('unfit' in key) {
      return {
        problem: `the vault’s master key of ${profileId} version ${key.version} is unfit: ${key.unfit}`,
      };
    }
  }
  if (keys.length > 0) return keys.map((key) => key.version);
  const version = keyVersion === undefined ? '' : `key version ${keyVersion} of `;
  return { problem: `the vault has no master key of ${version}${profile}` };
}

async function readReceiver(file: string): Promise<Receiver> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw unreadable(file, error);
  });
  try {
    return receiverSchema.parse(JSON.parse(text));
  } catch {
    throw new Fault('argument-invalid', `${file} is not what \`keys receiver\` wrote`);
  }
}

async function readProfiles(files: readonly string[]): Promise<ReadonlyMap<string, ProfileKeys>> {
  const profiles = await Promise.all(files.map(loadCardProfile));
  const known = new Map<string, ProfileKeys>();
  for (const { id, keys } of profiles) {
    if (!keys) continue;
    const { diversification, versions } = keys;
    if (diversification === 'none') {
      throw new Fault(
        'argument-invalid',
        `all cards of profile ${id} share the master key, which stays here`,
      );
    }
    known.set(id, { diversification, versions });
  }
  return known;
}
