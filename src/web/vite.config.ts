import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Builds the pages into dist/web, each under the name of its folder, with shared files under assets/. */
export default defineConfig({
  root: here('.'),
  base: '/',
  plugins: [react()],
  build: {
    outDir: here('../../dist/web'),
    emptyOutDir: true,
    // inlined files would need an exception in the content security policy
    assetsInlineLimit: 0,
    // react-aria-components with its words in all languages; served from this machine alone
    chunkSizeWarningLimit: 700,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: { site: here('site/index.html') } },
  },
});
