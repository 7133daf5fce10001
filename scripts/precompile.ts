import { spawnSync } from 'node:child_process';
import { globSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Plugin, rolldown } from 'rolldown';

/**
 * Makes starts fast: joins the modules of the command line into few files in dist/joined, unless it holds them as they are,
 * and fills the cache that NODE_COMPILE_CACHE names with them and with the terminal and its commands.
 */
const root = join(import.meta.dirname, '..');
const joined = join(root, 'dist/joined');

/** Packages of 180 files in JavaScript alone, which all commands load. Others are loaded from where they are. */
const inlined = /^(zod|yaml|commander|temporal-polyfill|temporal-utils)(\/|$)/;

/** What a module finds beside itself, such as its worker, it finds beside its source; and no program starts in a module. */
const besideTheSource: Plugin = {
  name: 'beside-the-source',
  transform(code, id) {
    if (!id.startsWith(join(root, 'src')) || !code.includes('import.meta.')) return null;
    const url = `new URL(${JSON.stringify(relative(joined, id))}, import.meta.url).href`;
    return code.replaceAll('import.meta.url', url).replaceAll('import.meta.main', 'false');
  },
};

/** Runs a function of scripts/node-path, which scripts/kazasu uses too. */
function ofPath(name: string): { readonly status: number | null; readonly stdout: string } {
  const words = ['-c', `here=$1; . "$1/scripts/node-path"; ${name}`, 'bash', root];
  return spawnSync('bash', words, { encoding: 'utf8', maxBuffer: 2 ** 26 });
}

/** A source that changes meanwhile differs from the list, which comes last: nothing half-made is run. */
async function joinModules(): Promise<void> {
  if (ofPath('kazasu_is_joined').status === 0) return;
  const sources = ofPath('kazasu_sources').stdout;
  rmSync(joined, { recursive: true, force: true });
  const bundle = await rolldown({
    input: join(root, 'src/cli/main.ts'),
    platform: 'node',
    tsconfig: false,
    external: (id) => /^[^.#/]/.test(id) && !inlined.test(id),
    plugins: [besideTheSource],
  });
  await bundle.write({ dir: joined, format: 'esm' });
  await bundle.close();
  writeFileSync(join(joined, 'sources'), sources);
}

/** Every module is compiled as it is linked, before any runs; and the first to run throws, so that none of them does. */
async function compile(modules: readonly string[]): Promise<void> {
  const compiled = 'compiled';
  const first = `data:text/javascript,throw '${compiled}'`;
  const urls = [first, ...modules.map((path) => pathToFileURL(join(root, path)).href)];
  const all = urls.map((url) => `import ${JSON.stringify(url)};`).join('');
  try {
    await import(`data:text/javascript,${encodeURIComponent(all)}`);
  } catch (error) {
    if (error !== compiled) throw error;
  }
}

await joinModules();
await compile(
  globSync(['src/{adapters,cli,core,ports,terminal}/**/*.ts', 'dist/joined/*.js'], { cwd: root }),
);
