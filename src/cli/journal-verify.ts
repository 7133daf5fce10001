import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import { parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { Fault } from '#core/fault.ts';
import { verifyJournal } from '#core/journal/verify.ts';
import type { OutsideHead } from '#core/journal/verify-chain.ts';
import type { ChainReport, VerifyReport, VouchedSegment } from '#core/journal/verify-report.ts';
import { readTextFile } from '#terminal/text-file.ts';
import { counted } from './counted.ts';
import { ExportFile, readOutsideHead } from './journal-source.ts';
import { createOutput } from './output.ts';
import { wholeNumber } from './whole-number.ts';

interface VerifyCommandOptions {
  readonly database?: string;
  readonly export?: string;
  readonly head?: readonly string[];
  readonly publicKey?: readonly string[];
  readonly checkpointEntries: number;
  readonly json?: boolean;
}

const help = `
What no verification can see: an end cut off behind the last checkpoint while no head was kept outside, and a journal
rewritten as a whole by someone who holds the device key. So keep heads ("journal head") and the public key
(device-key.pub.pem) away from the device. Exit code 0 means that nothing at all was found.`;

/** `journal verify`: whether anything was changed, and which entries can be vouched for. */
export function registerJournalVerify(journal: Command): void {
  journal
    .command('verify')
    .description(
      'Find any changed, removed, reordered or inserted entry, and say which entries are vouched for',
    )
    .option('--database <file>', 'Journal database, in use or not')
    .option('--export <file>', 'Export made with "journal export"')
    .option(
      '--head <head>',
      'Head kept outside: SEQUENCE:HASH or a file of "journal head --json"; repeatable',
      collect,
    )
    .option('--public-key <file>', 'Public key of the device (PEM) kept outside; repeatable', collect)
    .option('--checkpoint-entries <number>', 'Entries between checkpoints as configured', wholeNumber, 1_000)
    .addHelpText('after', help)
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<VerifyCommandOptions>();
      const report = await verify(options);
      if (!report.sound) process.exitCode = 1;
      createOutput(options.json === true).result(report, reportText(report, options.publicKey !== undefined));
    });
}

async function verify(options: VerifyCommandOptions): Promise<VerifyReport> {
  const { database } = options;
  if ((database === undefined) === (options.export === undefined)) {
    throw new Fault('argument-invalid', 'name either --database or --export');
  }
  const heads = await Promise.all((options.head ?? []).map(readOutsideHead));
  const publicKeys = await Promise.all((options.publicKey ?? []).map(readPublicKey));
  const { checkpointEntries: checkpointEveryEntries } = options;
  if (database === undefined) {
    return verifyExport(options.export ?? '', heads, { publicKeys, checkpointEveryEntries });
  }
  // read first, so that a journal in use can only be ahead of it
  const remembered = `${database}.head`;
  if (existsSync(remembered)) heads.push(await readOutsideHead(remembered));
  const reader = new JournalReader({ file: database });
  await reader.start();
  try {
    return await verifyJournal(reader.items(), {
      heads: heads.filter((head) => head.sequence > 0),
      publicKeys,
      personalIncluded: true,
      checkpointEveryEntries,
    });
  } finally {
    await reader.stop();
  }
}

async function verifyExport(
  path: string,
  heads: readonly OutsideHead[],
  options: { readonly publicKeys: readonly string[]; readonly checkpointEveryEntries: number },
): Promise<VerifyReport> {
  const file = new ExportFile(path);
  const personalIncluded = await file.open();
  const report = await verifyJournal(file.items(), { ...options, heads, personalIncluded });
  const end = file.end();
  const last = report.chains.at(-1);
  if (end && end.entries === report.entries && (end.head?.hash ?? undefined) === last?.lastHash)
    return report;
  const from = (last?.lastSequence ?? 0) + 1;
  const finding = {
    kind: 'end-missing' as const,
    incarnation: last?.incarnation ?? 'unknown',
    fromSequence: from,
    toSequence: Math.max(from, end?.head?.sequence ?? from),
    text: end
      ? 'the export does not end where its last line says'
      : 'the export was cut off: its last line is missing',
  };
  return {
    ...report,
    sound: false,
    findings: [...report.findings, finding],
    findingCount: report.findingCount + 1,
  };
}

async function readPublicKey(file: string): Promise<string> {
  const text = await readTextFile(file);
  if (!parseDevicePublicKey(text))
    throw new Fault('key-file-invalid', `${file} is no ECDSA P-256 public key (PEM)`);
  return text;
}

/** A report for people; `keyGiven`: signatures were checked with keys from outside the journal. */
export function reportText(report: VerifyReport, keyGiven: boolean): string {
  const lines = [
    `${counted(report.entries, 'entry', 'entries')}, ${counted(report.checkpoints, 'checkpoint')}`,
  ];
  for (const chain of report.chains) lines.push(...chainLines(chain));
  for (const { incarnation, ranges } of report.erased) {
    const numbers = ranges.map(([from, to]) => span(from, to)).join(', ');
    lines.push(`personal values erased and recorded: ${numbers} of incarnation ${incarnation}`);
  }
  if (!keyGiven && report.checkpoints > 0) {
    lines.push(
      'signatures were checked with the key found in the journal itself; give --public-key to rely on them',
    );
  }
  for (const { kind, text, incarnation } of report.findings) {
    lines.push(`FOUND ${kind}: ${text}${report.chains.length > 1 ? ` (incarnation ${incarnation})` : ''}`);
  }
  const more = report.findingCount - report.findings.length;
  if (more > 0) lines.push(`… and ${more} more`);
  lines.push(
    report.sound ? 'sound: nothing was found' : `NOT SOUND: ${counted(report.findingCount, 'finding')}`,
  );
  return lines.join('\n');
}

function chainLines(chain: ChainReport): readonly string[] {
  return [
    `terminal ${chain.terminal}, incarnation ${chain.incarnation}: through entry ${chain.lastSequence}, hash ${chain.lastHash}`,
    ...(chain.forgottenThrough === undefined
      ? []
      : [`  entries ${span(1, chain.forgottenThrough)}: let go of here and recorded; the server has them`]),
    ...chain.segments
      .filter((one) => one.toSequence >= one.fromSequence)
      .map((one) => `  ${segmentText(one)}`),
  ];
}

function segmentText(segment: VouchedSegment): string {
  const { fromSequence, toSequence, signedThrough, selfSignedThrough, headThrough } = segment;
  const parts: string[] = [];
  if (signedThrough !== undefined) parts.push(`signed through ${signedThrough}`);
  else if (selfSignedThrough !== undefined)
    parts.push(`signed through ${selfSignedThrough} by the journal's own key`);
  if (headThrough !== undefined) parts.push(`outside head through ${headThrough}`);
  const proved = Math.max(signedThrough ?? selfSignedThrough ?? 0, headThrough ?? 0);
  if (proved < toSequence)
    parts.push(`linked by hashes alone ${span(Math.max(fromSequence, proved + 1), toSequence)}`);
  return `entries ${span(fromSequence, toSequence)}: ${parts.join('; ')}`;
}

function span(from: number, to: number): string {
  return from === to ? `${from}` : `${from} to ${to}`;
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
