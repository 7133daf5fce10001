import { mkdtemp, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { AxeResults } from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';

/** Builds the pages as they stand in the source into a folder of their own. */
export async function buildPages(): Promise<string> {
  const outDir = await mkdtemp(join(tmpdir(), 'kazasu-web-'));
  await build({ configFile: resolve('src/web/vite.config.ts'), logLevel: 'error', build: { outDir } });
  return outDir;
}

/** Debian's Chromium, with nothing of its own on the network. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

export interface WatchedPage {
  readonly page: Page;
  /** what the browser complained of: script errors, refused content, failed requests */
  readonly complaints: string[];
}

type PageOptions = Parameters<Browser['newPage']>[0];

/** Opens the page and waits until it shows the building. */
export async function openPage(
  browser: Browser,
  url: string,
  options: PageOptions = {},
): Promise<WatchedPage> {
  const page = await browser.newPage({ locale: 'en-US', viewport: { width: 1280, height: 900 }, ...options });
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  await page.goto(url);
  await page.locator('.bay').first().waitFor();
  return { page, complaints };
}

const axeFile = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** Resolves in the page when everything that moves once has arrived. */
const arrivals = `Promise.all(
  document.getAnimations()
    .filter((animation) => animation.effect.getTiming().iterations !== Infinity)
    .map((animation) => animation.finished.catch(() => undefined)),
)`;

/** Violations of WCAG 2.2 A and AA and of best practices that axe finds, one line each. */
export async function findViolations(page: Page): Promise<string[]> {
  // arrivals still moving would be measured half transparent
  await page.evaluate(arrivals);
  await page.evaluate(await readFile(axeFile, 'utf8'));
  const results = (await page.evaluate('axe.run(document)')) as AxeResults;
  return results.violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes.map((node) => `${node.target.join(' ')} ${node.failureSummary}`).join(' | ')}`,
  );
}
