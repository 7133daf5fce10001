import { readdirSync, readFileSync, statSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

/** The layer table of ARCHITECTURE.md: what a file may import, by the longest matching folder. */
const root = resolve(import.meta.dirname, '..');
const src = join(root, 'src');
const builtin = new Set([...builtinModules, ...builtinModules.map((name) => `node:${name}`)]);

interface Layer {
  readonly folder: string;
  readonly layers: readonly string[];
  /** packages and `node:` modules; undefined means any */
  readonly packages?: readonly string[];
}

const layers: readonly Layer[] = [
  { folder: 'core/crypto', layers: ['core'], packages: ['zod', 'node:crypto'] },
  { folder: 'core/compression', layers: ['core'], packages: ['node:zlib'] },
  { folder: 'core/config', layers: ['core'], packages: ['zod', 'yaml'] },
  { folder: 'core/access/time-zone.ts', layers: ['core'], packages: ['temporal-polyfill'] },
  { folder: 'core', layers: ['core'], packages: ['zod'] },
  { folder: 'ports', layers: ['ports', 'core'], packages: [] },
  { folder: 'adapters', layers: ['ports', 'core', 'adapters/process', 'SAME'] },
  {
    folder: 'simulators/site',
    layers: ['core', 'ports', 'adapters', 'simulators', 'terminal', 'issuance', 'web', 'cli'],
  },
  {
    folder: 'simulators/fleet',
    layers: ['core', 'ports', 'adapters', 'simulators', 'issuance'],
  },
  { folder: 'simulators', layers: ['ports', 'core', 'simulators'] },
  { folder: 'terminal/main.ts', layers: ['core', 'ports', 'terminal', 'adapters'] },
  { folder: 'terminal/key-source.ts', layers: ['core', 'ports', 'terminal', 'adapters'] },
  { folder: 'terminal/server-connection.ts', layers: ['core', 'ports', 'terminal', 'adapters'] },
  { folder: 'terminal', layers: ['core', 'ports', 'terminal'] },
  { folder: 'issuance/main.ts', layers: ['core', 'ports', 'issuance', 'adapters'] },
  { folder: 'issuance/bulk-worker.ts', layers: ['core', 'ports', 'issuance', 'adapters'] },
  { folder: 'issuance/journal-worker.ts', layers: ['core', 'ports', 'issuance', 'adapters'] },
  { folder: 'issuance/database-source.ts', layers: ['core', 'ports', 'issuance', 'adapters'] },
  { folder: 'issuance/terminal-gateway.ts', layers: ['core', 'ports', 'issuance', 'adapters'] },
  { folder: 'issuance/brokers', layers: ['core', 'ports', 'issuance', 'adapters'] },
  { folder: 'issuance/authority-files.ts', layers: ['core', 'ports', 'issuance', 'adapters'] },
  { folder: 'issuance/trust-files.ts', layers: ['core', 'ports', 'issuance', 'adapters'] },
  // copies what the other programs of the server keep in files
  { folder: 'issuance/backup', layers: ['core', 'ports', 'issuance', 'adapters'] },
  { folder: 'issuance/enrolment-file.ts', layers: ['core', 'ports', 'issuance', 'adapters'] },
  { folder: 'issuance', layers: ['core', 'ports', 'issuance'] },
  { folder: 'web', layers: ['core', 'web'] },
  {
    folder: 'cli',
    layers: ['core', 'ports', 'adapters', 'simulators', 'terminal', 'issuance', 'web', 'cli'],
  },
];

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

/** what runs when the pages are built, not in them */
const buildFiles = ['web/vite.config.ts'];
const sources = filesBelow(src).filter(
  (path) => /\.tsx?$/.test(path) && !buildFiles.includes(relative(src, path)),
);

const anyImport =
  /^\s*(?:import|export)\b[^'";]*?from\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm;
/** those that remain when the types are gone */
const valueImports =
  /^\s*(?:import|export)\b(?! type\b)[^'";]*?from\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]/gm;

function importsOf(path: string, pattern = anyImport): string[] {
  const text = readFileSync(path, 'utf8');
  return [...text.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}

/** `src`-relative path of an import of our own code, or undefined for a package. */
function ownTarget(path: string, specifier: string): string | undefined {
  if (specifier.startsWith('#')) return specifier.slice(1);
  if (specifier.startsWith('.')) return relative(src, resolve(dirname(path), specifier));
  return undefined;
}

function layerOf(own: string): Layer {
  const layer = layers.find(
    (candidate) => own === candidate.folder || own.startsWith(`${candidate.folder}/`),
  );
  if (!layer) throw new Error(`${own} lies in no folder of the layout`);
  return layer;
}

function allowed(layer: Layer, from: string, target: string): boolean {
  return layer.layers.some((name) => {
    if (name === 'SAME') return target.split('/')[1] === from.split('/')[1] && target.startsWith('adapters/');
    return target === name || target.startsWith(`${name}/`);
  });
}

describe('architecture', () => {
  it.each(sources.map((path) => [relative(src, path), path]))(
    '%s imports only what its layer may',
    (own, path) => {
      const layer = layerOf(own);
      for (const specifier of importsOf(path)) {
        const target = ownTarget(path, specifier);
        if (target === undefined) {
          const name = builtin.has(specifier)
            ? `node:${specifier.replace(/^node:/, '')}`
            : packageOf(specifier);
          if (layer.packages) expect(layer.packages, `${own} imports ${specifier}`).toContain(name);
          if (layer.folder === 'web') expect(name, `${own} runs in a browser`).not.toMatch(/^node:/);
          continue;
        }
        expect(allowed(layer, own, target), `${own} (${layer.folder}) imports ${specifier}`).toBe(true);
        if (layer.folder === 'web')
          expect(target, `${own} runs in a browser`).not.toMatch(/^core\/(crypto|compression)\//);
      }
    },
  );

  it('crosses layers by package imports alone', () => {
    for (const path of sources) {
      const own = relative(src, path);
      for (const specifier of importsOf(path).filter((name) => name.startsWith('.'))) {
        const target = ownTarget(path, specifier) ?? '';
        expect(target.split('/')[0], `${own} imports ${specifier}`).toBe(own.split('/')[0]);
      }
    }
  });

  it.each([
    ['thread of the policy', ['sqlite/policy-worker.ts'], ['better-sqlite3']],
    ['thread of its distribution', ['sqlite/policy-sync-worker.ts'], ['better-sqlite3']],
    ['thread of the journal', ['sqlite/journal-worker.ts'], ['better-sqlite3']],
    ['process of the readers', ['pcsc/child.ts'], []],
    ['guard of doors on GPIO', ['process/door-guard-main.ts', 'gpio/gpio-hardware.ts'], []],
    ['guard of doors on USB', ['process/door-guard-main.ts', 'hid/usb-relay-hardware.ts'], ['node-hid']],
  ])(
    'loads no package that it can do without into the %s: each costs memory, and time at a start',
    (_, files, needed) => {
      const loaded = new Set(files.map((file) => join(src, 'adapters', file)));
      const packages = new Set<string>();
      for (const path of loaded) {
        for (const specifier of importsOf(path, valueImports)) {
          const target = ownTarget(path, specifier);
          if (target !== undefined) loaded.add(join(src, target));
          else if (!builtin.has(specifier)) packages.add(packageOf(specifier));
        }
      }
      expect([...packages]).toEqual(needed);
    },
  );

  it('has no barrels and no rooms without a name', () => {
    for (const path of sources) expect(path).not.toMatch(/\/(index|utils?|helpers?|common|manager)\.tsx?$/);
  });

  it('has no file outside the layout', () => {
    const folders = readdirSync(src).filter((name) => statSync(join(src, name)).isDirectory());
    const known = ['adapters', 'cli', 'core', 'issuance', 'ports', 'simulators', 'terminal', 'web'];
    expect(folders.filter((name) => !known.includes(name))).toEqual([]);
    expect(readdirSync(src).filter((name) => statSync(join(src, name)).isFile())).toEqual([]);
  });

  it('reads no clock and makes no randomness in core', () => {
    for (const path of sources.filter((file) => relative(src, file).startsWith('core/'))) {
      const text = readFileSync(path, 'utf8');
      expect(text, path).not.toMatch(
        /Date\.now\(|new Date\(\)|performance\.now|Math\.random|randomBytes\(|setTimeout\(|process\./,
      );
    }
  });

  it('keeps source files to a readable length', () => {
    for (const path of sources) {
      expect(readFileSync(path, 'utf8').split('\n').length, relative(root, path)).toBeLessThanOrEqual(400);
    }
  });

  it('refers to no folder outside the project', () => {
    for (const path of sources) expect(readFileSync(path, 'utf8'), path).not.toMatch(/\.\.\/shared|\/work\//);
  });
});

function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? specifier);
}
