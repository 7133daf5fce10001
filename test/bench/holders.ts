import { writeFileSync } from 'node:fs';
import { readHolderFile } from '#adapters/csv/holder-file.ts';
import { PolicyInstaller } from '#adapters/sqlite/policy-installer.ts';
import type { ImportMode } from '#core/access/holder-row.ts';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import type { Reading } from '#core/card/reading.ts';

export const benchRules = siteRulesSchema.parse({
  formatVersion: 1,
  organization: 'city',
  profiles: [
    { id: 'type-a', userNumberFormat: { alphabet: 'alphanumeric', minimumLength: 8, maximumLength: 10 } },
  ],
  schedules: [
    { id: 'hours', periods: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:30', to: '19:00' }] },
  ],
  groups: ['staff', 'cleaning', 'council'],
  doors: Array.from({ length: 20 }, (_, index) => ({
    id: `door-${index}`,
    additional: [{ schedule: 'hours', assurance: ['pin'] }],
  })),
  permissions: Array.from({ length: 20 }, (_, index) => [
    { group: 'staff', door: `door-${index}` },
    { group: 'cleaning', door: `door-${index}`, schedule: 'hours' },
  ]).flat(),
});

/** What the card of a holder reads as. */
export function readingOf(index: number): Reading {
  return {
    organization: 'city',
    profileId: 'type-a',
    method: 'type-a',
    userNumber: userNumber(index),
    diversifier: diversifier(index).toUpperCase(),
    assurance: ['mutual-authentication', 'message-authentication', 'pin'],
    timings: { connectUs: 0, selectUs: 0, authenticateUs: 0, authenticateCardUs: 0, readUs: 0, exchanges: 0 },
  };
}

const diversifier = (index: number) => index.toString(16).padStart(16, '0');

export const userNumber = (index: number) => `A${String(index).padStart(8, '0')}`;

/** A list of `count` holders with one card each, valid until `lastYear`, as office software would write it. */
export function writeHolders(file: string, count: number, lastYear = '2030'): void {
  const lines = ['利用者番号,状態,有効開始,有効期限,グループ,カード状態,カード識別値'];
  for (let index = 0; index < count; index += 1) {
    const day = String(1 + (index % 28)).padStart(2, '0');
    const groups = index % 3 === 0 ? 'staff;cleaning' : 'staff';
    lines.push(
      `${userNumber(index)},有効,2026/04/01,${lastYear}-03-${day},${groups},有効,${diversifier(index)}`,
    );
  }
  writeFileSync(file, `${lines.join('\r\n')}\r\n`);
}

/** Imports the list as the command does, without the process around it; returns seconds. */
export async function importHolders(
  list: string,
  database: string,
  mode: ImportMode = 'complete',
): Promise<number> {
  const installer = new PolicyInstaller({ file: database });
  await installer.start();
  try {
    if (!(await installer.rules())) await installer.installRules(benchRules, Date.now());
    const start = performance.now();
    const outcome = await installer.importHolders({
      mode,
      dryRun: false,
      nowMs: Date.now(),
      rows: readHolderFile({ file: list, encoding: 'utf-8', mode, rules: benchRules }),
      confirm: async () => true,
    });
    if (outcome.kind !== 'installed') throw new Error(JSON.stringify(outcome));
    return (performance.now() - start) / 1_000;
  } finally {
    await installer.stop();
  }
}
