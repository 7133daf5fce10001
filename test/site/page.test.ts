import { rm } from 'node:fs/promises';
import { pino } from 'pino';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { SiteServer } from '#simulators/site/server.ts';
import { buildPages, findViolations, launchBrowser, openPage } from './browser.ts';
import { ScriptedBuilding, scriptedCard, scriptedDoor, scriptedReader } from './scripted-building.ts';

let pagesDirectory: string;
let building: ScriptedBuilding;
let server: SiteServer;
let browser: Browser;
let url: string;

beforeAll(async () => {
  pagesDirectory = await buildPages();
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser.close();
  await rm(pagesDirectory, { recursive: true });
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
});
beforeEach(async () => {
  building = new ScriptedBuilding();
  building.state = {
    ...building.state,
    cards: [
      scriptedCard('valid'),
      scriptedCard('clone', { title: { ja: '複製', en: 'Clone' }, hue: 20, methods: ['type-c'] }),
    ],
    journal: [
      {
        position: 7,
        terminal: 'front',
        sequence: 7,
        atMs: 1_800_000_000_000,
        kind: 'decision',
        hash: 'A1B2C3D4E5F6',
        body: { door: 'front', result: 'denied', reason: 'holder-suspended' },
      },
    ],
  };
  server = new SiteServer({ building, pagesDirectory, runId: 'run', log: pino({ level: 'silent' }) });
  url = await server.start(0);
  return () => server.stop();
});

const asked = (what: string) => vi.waitFor(() => expect(building.asked).toContain(what));
const pinAsked = scriptedReader('server-room', {
  indication: 'pin-needed',
  pin: { entered: 2, minimumDigits: 4, maximumDigits: 4 },
  verdict: { tapId: 'b', atMs: 0, kind: 'pin-needed', cardId: 'valid' },
});

describe('a visitor', () => {
  test('drags a card onto a reader', async () => {
    const { page, complaints } = await openPage(browser, url);
    await page.getByRole('row', { name: 'Clone' }).dragTo(page.locator('[data-reader="server-room-reader"]'));
    await asked('hold clone server-room-reader');
    expect(complaints).toEqual([]);
  });

  test('taps a card, then a reader', async () => {
    const { page } = await openPage(browser, url, {
      hasTouch: true,
      isMobile: true,
      viewport: { width: 390, height: 844 },
    });
    await page.getByRole('row', { name: 'Clone' }).tap();
    await page.getByRole('button', { name: 'Server room', exact: true }).tap();
    await asked('hold clone server-room-reader');
  });

  test('does everything by keyboard', async () => {
    const { page } = await openPage(browser, url);
    await page.getByRole('row', { name: 'Valid card' }).focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Space');
    await page.getByRole('button', { name: 'Hold here: Front entrance' }).focus();
    await page.keyboard.press('Enter');
    await asked('hold clone front-reader');
    await page.getByRole('button', { name: 'Force' }).first().focus();
    await page.keyboard.press('Enter');
    await asked('visit front force');
  });

  test('drags by keyboard', async () => {
    const { page } = await openPage(browser, url);
    await page.getByRole('row', { name: 'Clone' }).focus();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await vi.waitFor(() => expect(building.asked.join()).toMatch(/hold clone (front|server-room)-reader/));
  });

  test('types a PIN, which the page never shows', async () => {
    const { page } = await openPage(browser, url);
    building.emit({ type: 'reader', reader: pinAsked });
    await page.getByRole('group', { name: /Enter the PIN/ }).waitFor();
    await page.keyboard.press('7');
    await asked('key server-room-reader 7');
    await page.getByRole('button', { name: '8', exact: true }).click();
    await asked('key server-room-reader 8');
    await expect(page.locator('.pad-dots').textContent()).resolves.toBe('2 digits entered');
    await page.getByRole('button', { name: 'Cancel' }).click();
    await asked('key server-room-reader cancel');
  });

  test('reads a refusal instead of nothing', async () => {
    building.answer = 'occupied';
    const { page } = await openPage(browser, url);
    await page.getByRole('button', { name: 'Hold here: Front entrance' }).click();
    await page.getByText('That was not possible').waitFor();
  });

  test('verifies the journal', async () => {
    const { page } = await openPage(browser, url);
    await page.getByRole('button', { name: 'Verify the journal' }).click();
    await page.getByText('Sound').waitFor();
    expect(building.asked).toContain('verify');
  });
});

describe('the page', () => {
  test('speaks the language of the browser and switches', async () => {
    const { page } = await openPage(browser, url, { locale: 'ja-JP' });
    expect(await page.locator('html').getAttribute('lang')).toBe('ja');
    await page.getByRole('heading', { name: '正面玄関' }).waitFor();
    await page.getByText('正面玄関 · 拒否 · 利用者が一時停止中').waitFor();
    await page.getByRole('radio', { name: 'English' }).click();
    await page.getByRole('heading', { name: 'Front entrance' }).waitFor();
    await page.getByText('Front entrance · Denied · Holder is suspended').waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'Front entrance' }).waitFor();
  });

  test('announces a decision with its reason', async () => {
    const { page } = await openPage(browser, url);
    const verdict = {
      tapId: 'a',
      atMs: 0,
      kind: 'denied',
      reason: 'no-longer-valid',
      cardId: 'valid',
    } as const;
    building.emit({ type: 'reader', reader: scriptedReader('front', { indication: 'denied', verdict }) });
    const status = page.getByRole('status').filter({ hasText: 'Denied' });
    await status.waitFor();
    expect(await status.textContent()).toContain('No longer valid');
  });

  test('follows the journal and the door as they change', async () => {
    const { page } = await openPage(browser, url);
    building.emit({
      type: 'journal',
      entry: {
        position: 8,
        terminal: 'front',
        sequence: 8,
        atMs: 1_800_000_001_000,
        kind: 'door',
        hash: 'FFEE000000000000',
        body: { door: 'front', event: 'forced-open' },
      },
    });
    building.emit({ type: 'door', door: scriptedDoor('front', { contact: 'open', alarm: 'forced-open' }) });
    await page.getByText('Front entrance · Forced open').waitFor();
    await page.locator('.chip', { hasText: 'Forced open' }).waitFor();
    expect(await page.locator('.entry').first().textContent()).toContain('ffee000000');
  });

  test('shows older entries when asked', async () => {
    building.older = [5, 6].map((sequence) => ({
      position: sequence,
      terminal: 'front',
      sequence,
      atMs: 1_799_999_000_000,
      kind: 'terminal',
      hash: `00000${sequence}`,
      body: { event: 'started' },
    }));
    const { page } = await openPage(browser, url);
    await page.getByRole('button', { name: 'Show older entries' }).click();
    await asked('entries 7 100');
    await page.getByText('#5').waitFor();
    expect(await page.locator('.entry').count()).toBe(3);
  });

  test('says when the site is gone', async () => {
    const { page } = await openPage(browser, url);
    await page.getByText('Live').waitFor();
    await server.stop();
    await page.getByText('Connection lost').waitFor();
  });
});

describe('axe finds nothing', () => {
  const looks = [
    ['in English', { locale: 'en-US' }],
    ['in Japanese, dark', { locale: 'ja-JP', colorScheme: 'dark' }],
    ['on a phone', { locale: 'ja-JP', viewport: { width: 390, height: 844 } }],
    ['dark on a phone', { locale: 'en-US', colorScheme: 'dark', viewport: { width: 390, height: 844 } }],
  ] as const;
  test.each(looks)('%s, with every kind of answer on it', async (_name, options) => {
    const denied = { tapId: 'a', atMs: 0, kind: 'denied', reason: 'holder-suspended', cardId: null } as const;
    building.state = {
      ...building.state,
      doors: [
        scriptedDoor('front', { contact: 'open', alarm: 'held-open', strike: 'unlocked' }),
        scriptedDoor('server-room', { contact: 'open', alarm: 'forced-open' }),
      ],
      readers: [scriptedReader('front', { indication: 'denied', verdict: denied }), pinAsked],
    };
    const { page } = await openPage(browser, url, options);
    await page.locator('.pad').waitFor();
    expect(await findViolations(page)).toEqual([]);
    for (const kind of ['granted', 'hold-again'] as const) {
      building.emit({
        type: 'reader',
        reader: scriptedReader('front', { indication: kind, verdict: { ...denied, kind } }),
      });
      await page.locator(`.verdict[data-kind="${kind}"]`).waitFor();
      expect(await findViolations(page)).toEqual([]);
    }
  });

  test('nothing moves for visitors who ask for that', async () => {
    const { page } = await openPage(browser, url, { reducedMotion: 'reduce' });
    building.emit({ type: 'card', card: scriptedCard('valid', { readerId: 'front-reader' }) });
    await page.locator('.held').waitFor();
    expect(await page.evaluate('document.getAnimations().length')).toBe(0);
  });
});
