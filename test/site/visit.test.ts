import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningSite, startSite } from '#simulators/site/site.ts';
import { buildPages, findViolations, launchBrowser, openPage } from './browser.ts';

let pagesDirectory: string;
let dataDirectory: string;
let site: RunningSite;
let browser: Browser;

beforeAll(async () => {
  pagesDirectory = await buildPages();
  dataDirectory = await mkdtemp(join(tmpdir(), 'kazasu-data-'));
  site = await startSite({ dataDirectory, pagesDirectory, port: 0, cardLink: 'any' });
  browser = await launchBrowser();
}, 120_000);
afterAll(async () => {
  await browser.close();
  await site.stop();
  await rm(pagesDirectory, { recursive: true });
  await rm(dataDirectory, { recursive: true });
});

const scene = (page: Page, kind: 'front' | 'inner', open: boolean) =>
  page.locator(`.scene[data-kind="${kind}"][data-open="${open}"]`).waitFor();

test('かざすと扉が開く: a tap in the page opens the door through the real card stack', async () => {
  const { page, complaints } = await openPage(browser, site.url, { locale: 'ja-JP' });
  await page.getByText('実際の PC/SC').waitFor();
  await page.getByRole('button', { name: 'かざす: 正面玄関' }).click();
  await page.getByRole('status').filter({ hasText: '正面玄関: 許可' }).waitFor();
  await scene(page, 'front', true);
  await page.getByText('正面玄関 · 許可 · Type A').waitFor();
  expect(await findViolations(page)).toEqual([]);
  await scene(page, 'front', false);
  await page.getByText('正面玄関 · 施錠した').waitFor();
  expect(complaints).toEqual([]);
});

test('a visitor drags a card to the server room and types the PIN by keyboard alone', async () => {
  const { page, complaints } = await openPage(browser, site.url, { locale: 'en-US' });
  await page.getByRole('radio', { name: 'Always' }).focus();
  await page.keyboard.press('Space');
  await page.getByText('Policy version 2').waitFor();
  await page.getByRole('row', { name: 'Employee' }).first().focus();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  // the targets of a drag come in the order of the page: front entrance, server room
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('group', { name: 'Enter the PIN: Server room' }).waitFor();
  await page.keyboard.type('1234');
  await page.keyboard.press('Enter');
  await page.getByRole('status').filter({ hasText: 'Server room: Granted' }).waitFor();
  await scene(page, 'inner', true);
  await scene(page, 'inner', false);
  await page.getByRole('button', { name: 'Verify the journal' }).click();
  await page.locator('p[data-sound="true"]').waitFor();
  expect(complaints).toEqual([]);
});
