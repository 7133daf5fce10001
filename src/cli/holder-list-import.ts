import { setTimeout } from 'node:timers/promises';
import { readHolderFile } from '#adapters/csv/holder-file.ts';
import { readHolderLines } from '#adapters/csv/holder-lines.ts';
import { detectEncoding, type Encoding } from '#adapters/csv/text-blocks.ts';
import type { ImportMode } from '#core/access/holder-row.ts';
import { Fault } from '#core/fault.ts';
import type { Language } from '#core/texts/language.ts';
import { DueChanges } from '#issuance/permissions/due-changes.ts';
import type { HolderListImport, ServerImportPreview } from '#issuance/permissions/import-requests.ts';
import type { ListFiles } from '#issuance/permissions/import-run.ts';
import { ListImporter } from '#issuance/permissions/list-importer.ts';
import { confirmNumber } from './confirmation.ts';
import { counted } from './counted.ts';
import { fileSize } from './file-size.ts';
import { commandActor, withIssuance } from './issuance-organization.ts';
import type { OrganizationOptions } from './organization-services.ts';
import { createOutput, type Output } from './output.ts';

export interface HolderImportOptions extends OrganizationOptions {
  readonly mode: ImportMode;
  readonly encoding: Encoding | 'auto';
  readonly goodLines?: boolean;
  readonly inForceFrom?: number;
  readonly dryRun?: boolean;
  readonly confirmRemoval?: number;
}

/** longer than whoever waits for the lock of a SQLite file sleeps between two tries */
const restMs = 6;
const pause = () => setTimeout(restMs);

/**
 * Reads a list of holders into an organization beside its server, as the interface would: looked at whole, decided, then
 * put in force. The file stays where it is, so that no server takes the list up.
 */
export async function importHolderList(file: string, options: HolderImportOptions): Promise<void> {
  const format = /\.csv$/i.test(file) ? 'csv' : /\.(ndjson|jsonl)$/i.test(file) ? 'ndjson' : undefined;
  if (!format)
    throw new Fault('argument-invalid', `${file}: lists of holders end in .csv, .ndjson or .jsonl`);
  const { mode, goodLines = false, inForceFrom } = options;
  if (goodLines && mode === 'complete') {
    throw new Fault(
      'argument-invalid',
      '--good-lines is for --mode delta: a complete list is taken whole or not',
    );
  }
  await fileSize(file);
  const output = createOutput(options.json === true);
  await withIssuance(options.config, async ({ services, organizations, clock }) => {
    const found = await services.find(options.organization);
    if (!found) throw new Fault('argument-invalid', `there is no organization "${options.organization}"`);
    const { lists } = found;
    const ledger = await organizations.ledger(found.organization);
    const id = lists.newId();
    const moment = inForceFrom === undefined ? {} : { inForceFromMs: inForceFrom };
    await lists.receive(id, { mode, format, goodLines, ...moment }, commandActor());
    try {
      await new ListImporter({ ledger, clock, pause, files: onlyFile(id, file, options) }).work();
      const list = await lists.find(id);
      if (!list) throw new Error('a list that was received is gone');
      if (list.state !== 'ready') return refuse(file, list, output);
      if (!(await mayApply(list, options, output))) return;
      const decided = await lists.decide(id, list.report.preview?.losingAccess, commandActor());
      if (decided.kind !== 'decided') {
        throw new Fault(
          'policy-import-refused',
          'other rules came into force meanwhile; import the list again',
        );
      }
      const due = new DueChanges({ ledger });
      while ((inForceFrom ?? 0) <= clock.utcMs() && (await due.step(clock.utcMs()))) await pause();
      tell(
        list,
        output,
        options,
        inForceFrom === undefined || inForceFrom <= clock.utcMs() ? 'applied' : 'planned',
      );
    } finally {
      // what was not decided, for whatever reason, leaves nothing behind
      if (await lists.cancel(id, commandActor())) {
        await new ListImporter({ ledger, clock, pause, files: onlyFile('', file, options) }).work();
      }
    }
  });
}

/** The one file of this command; lists that others have sent are not seen. */
function onlyFile(own: string, file: string, { encoding }: HolderImportOptions): ListFiles {
  return {
    has: async (id) => id === own,
    names: async () => [],
    rows: async function* (_id, { mode, format }, rules, progress) {
      if (format === 'ndjson') yield* readHolderLines({ file, mode, rules, progress });
      else {
        const detected = encoding === 'auto' ? await detectEncoding(file) : encoding;
        yield* readHolderFile({ file, encoding: detected, mode, rules, progress });
      }
    },
    // it is not the server's
    remove: async () => undefined,
  };
}

function refuse(file: string, { report }: HolderListImport, output: Output): void {
  process.exitCode = 1;
  const { problems, problemCount } = report;
  const lines = problems.map(({ line, text }) => `${file}:${line}: ${text}`);
  if (problemCount > problems.length) lines.push(`… and ${problemCount - problems.length} more`);
  const message = `${counted(problemCount, 'problem')}, nothing was applied`;
  output.note(`${lines.join('\n')}\nkazasu: policy-import-refused: ${message}`);
  output.result({ error: { fault: 'policy-import-refused', message, problemCount, problems } }, '');
}

async function mayApply(
  list: HolderListImport,
  options: HolderImportOptions,
  output: Output,
): Promise<boolean> {
  const { preview } = list.report;
  if (options.dryRun || !preview) {
    tell(list, output, options, 'looked-at');
    return false;
  }
  if (!preview.needsConfirmation) return true;
  const { losingAccess: number } = preview;
  const { language, confirmRemoval: given } = options;
  const question = `${previewText(preview, language)}\n${confirmText(number)[language]}`;
  if (await confirmNumber({ number, given, question }, output)) return true;
  process.exitCode = 1;
  const message = `${number} holders would lose access, nothing was applied; if that is meant, repeat with --confirm-removal ${number}`;
  output.note(`${previewText(preview, language)}\nkazasu: policy-import-refused: ${message}`);
  output.result({ error: { fault: 'policy-import-refused', message, preview } }, '');
  return false;
}

function tell(
  { report }: HolderListImport,
  output: Output,
  { language }: HolderImportOptions,
  outcome: 'applied' | 'planned' | 'looked-at',
): void {
  const { preview, problems, problemCount } = report;
  const left = problems.map(({ line, text }) => `${line}: ${text}`);
  const text = [...left, preview ? previewText(preview, language) : '', outcomes[outcome][language]].join(
    '\n',
  );
  output.result({ outcome, preview, problemCount, problems }, text);
}

const outcomes = {
  applied: { ja: '反映した', en: 'in force' },
  planned: { ja: '指定の時刻に反映される', en: 'comes into force at its moment' },
  'looked-at': { ja: '反映していない（試行）', en: 'nothing was applied (dry run)' },
} as const;

function confirmText(number: number): Readonly<Record<Language, string>> {
  return {
    ja: `${number}人が利用できなくなる。反映するにはこの数を入力、やめるには他を入力: `,
    en: `${number} holders lose access. Type this number to apply, anything else to leave all as it is: `,
  };
}

function previewText(preview: ServerImportPreview, language: Language): string {
  const { holdersBefore, holdersAfter, added, changed, removed, losingAccess, staySuspended } = preview;
  const { cardsAdded, cardsChanged, cardsRemoved } = preview;
  const lines: Readonly<Record<Language, readonly string[]>> = {
    ja: [
      `利用者: ${holdersBefore} → ${holdersAfter}（追加${added}、変更${changed}、削除${removed}）`,
      `カード: 追加${cardsAdded}、変更${cardsChanged}、削除${cardsRemoved}`,
      `利用できなくなる: ${losingAccess}　利用停止のまま: ${staySuspended}`,
    ],
    en: [
      `holders: ${holdersBefore} before, ${holdersAfter} after (${added} added, ${changed} changed, ${removed} removed)`,
      `cards: ${cardsAdded} added, ${cardsChanged} changed, ${cardsRemoved} removed`,
      `losing access: ${losingAccess}; staying suspended: ${staySuspended}`,
    ],
  };
  return lines[language].join('\n');
}
