import { globSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/**
 * Fills the cache that NODE_COMPILE_CACHE names with the terminal and its commands. Every module is compiled as it is
 * linked, before any runs; and the first to run throws, so that none of them does.
 */
const compiled = 'compiled';
const modules = globSync('src/{adapters,cli,core,ports,terminal}/**/*.ts', {
  cwd: `${import.meta.dirname}/..`,
});
const first = `data:text/javascript,throw '${compiled}'`;
const urls = [first, ...modules.map((path) => pathToFileURL(path).href)];
const root = urls.map((url) => `import ${JSON.stringify(url)};`).join('');
try {
  await import(`data:text/javascript,${encodeURIComponent(root)}`);
} catch (error) {
  if (error !== compiled) throw error;
}
