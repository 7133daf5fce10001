import { existsSync, globSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Plugin, rolldown } from 'rolldown';

/**
 * Makes starts fast: joins the modules of the command line in dist/joined, where there is nothing yet, and fills the cache that
 * NODE_COMPILE_CACHE names with them and with the terminal and its commands.
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

async function joinModules(): Promise<void> {
  const bundle = await rolldown({
    input: join(root, 'src/cli/main.ts'),
    platform: 'node',
    external: (id) => /^[^.#/]/.test(id) && !inlined.test(id),
    plugins: [besideTheSource],
  });
  await bundle.write({ dir: joined, format: 'esm' });
  await bundle.close();
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

if (!existsSync(joined)) await joinModules();
await compile(
  globSync(['src/{adapters,cli,core,ports,terminal}/**/*.ts', 'dist/joined/*.js'], { cwd: root }),
);
