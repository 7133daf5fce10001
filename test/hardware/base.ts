import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** of the checkout */
export const root = fileURLToPath(new URL('../../', import.meta.url));
/** the recipe of the emulated machine */
export const image = join(root, 'test/hardware/image');
/** where machines are kept: not of the checkout, so that only what is said here becomes part of one */
export const kept = join(root, '.runtime/hardware');

/** Takes the machine without Kazasu that is kept for this recipe, or makes it, for which it needs the network. */
export async function prepareBase(): Promise<string> {
  const folder = join(
    kept,
    `base-${hashOf(readdirSync(image, { recursive: true, encoding: 'utf8' }), image)}`,
  );
  await keep(folder, 'base-', async (partial) => {
    say('building the emulated machine, which is kept');
    run(join(image, 'build-base'), partial);
  });
  return folder;
}

/** Makes `folder` unless it is there, and forgets those of the same kind that are of another recipe. */
export async function keep(
  folder: string,
  kind: string,
  make: (partial: string) => Promise<void>,
): Promise<void> {
  if (existsSync(folder)) return;
  mkdirSync(kept, { recursive: true });
  for (const name of readdirSync(kept).filter((name) => name.startsWith(kind)))
    rmSync(join(kept, name), { recursive: true });
  await make(`${folder}.partial`);
  renameSync(`${folder}.partial`, folder);
}

/** Of the names and contents of files. */
export function hashOf(paths: readonly string[], folder: string): string {
  const hash = createHash('sha256');
  for (const path of [...paths].sort()) {
    const file = join(folder, path);
    hash.update(`${path}\0`);
    if (!statSync(file).isDirectory()) hash.update(readFileSync(file));
  }
  return hash.digest('hex').slice(0, 16);
}

/** Tells what takes time. */
export function say(text: string): void {
  process.stderr.write(`hardware-test: ${text}\n`);
}

export function run(program: string, ...words: readonly string[]): void {
  execFileSync(program, words, { stdio: ['ignore', 'inherit', 'inherit'] });
}

if (import.meta.main) await prepareBase();
