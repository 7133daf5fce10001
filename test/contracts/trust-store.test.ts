import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TrustFile } from '#adapters/keyfile/trust-file.ts';

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kazasu-trust-'));
  file = join(directory, 'trust.json');
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

const roots = [new Uint8Array([1, 2, 3]), new Uint8Array(1_000).fill(7)];

it('keeps roots for its owner alone, whole, and has them again', async () => {
  await new TrustFile({ file }).save(roots.slice(0, 1));
  await new TrustFile({ file }).save(roots);
  expect(await new TrustFile({ file }).load()).toEqual(roots);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(directory)).toEqual(['trust.json']);
});

it('tells what is missing, and what is none', async () => {
  await expect(new TrustFile({ file }).load()).rejects.toMatchObject({ code: 'file-unreadable' });
  for (const text of ['', '{}', '{"formatVersion":2,"roots":["AA=="]}', '{"formatVersion":1,"roots":[]}']) {
    writeFileSync(file, text);
    await expect(new TrustFile({ file }).load()).rejects.toMatchObject({ code: 'policy-altered' });
  }
});

it('leaves what was there where the disk takes nothing', async () => {
  await new TrustFile({ file }).save(roots);
  const nowhere = new TrustFile({ file: join(directory, 'absent', 'trust.json') });
  await expect(nowhere.save(roots)).rejects.toMatchObject({ code: 'policy-unwritable' });
  expect(await new TrustFile({ file }).load()).toEqual(roots);
});

it('has the root that was pinned until another is kept, and never in place of what is damaged', async () => {
  const [pinned = new Uint8Array()] = roots;
  const store = new TrustFile({ file, pinned });
  expect(await store.load()).toEqual([pinned]);
  await store.save(roots.slice(1));
  expect(await store.load()).toEqual(roots.slice(1));
  writeFileSync(file, '');
  await expect(store.load()).rejects.toMatchObject({ code: 'policy-altered' });
});
