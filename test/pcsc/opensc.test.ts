import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deckCard } from '../contracts/deck.ts';
import { openPcscdFixture, type PcscdFixture, readerNames } from './pcscd-fixture.ts';

const run = promisify(execFile);

interface Answer {
  readonly status: string;
  /** the data as opensc-tool prints it to the right of the bytes */
  readonly output: string;
}

/** What a program that is not ours gets from the card: one answer for each APDU, in one session. */
async function send(...apdus: readonly string[]): Promise<Answer[]> {
  const words = apdus.flatMap((apdu) => ['--send-apdu', apdu.replaceAll(' ', '')]);
  const { stdout } = await run('opensc-tool', ['--reader', '0', ...words]);
  return stdout
    .split('Sending:')
    .slice(1)
    .map((output) => {
      const [, sw1 = '', sw2 = ''] = /SW1=0x(..), SW2=0x(..)/.exec(output) ?? [];
      return { status: `${sw1}${sw2}`, output };
    });
}

const statuses = async (...apdus: readonly string[]): Promise<string[]> =>
  (await send(...apdus)).map(({ status }) => status);

/** What opensc-explorer prints for its commands, as it walks a card of which it knows no more than the standard. */
async function explore(folder: string, ...commands: readonly string[]): Promise<string> {
  const script = join(folder, 'walk');
  await writeFile(script, [...commands, 'quit', ''].join('\n'));
  const { stdout, stderr } = await run('opensc-explorer', [
    '--reader',
    '0',
    '--card-driver',
    'default',
    script,
  ]);
  return stdout + stderr;
}

const selectTypeC = '00 A4 04 0C 0A F04B415A415355010C01';
const selectTypeA = '00 A4 04 00 0A F04B415A415355010A01 00';

let fixture: PcscdFixture;
beforeAll(async () => {
  fixture = await openPcscdFixture();
  await fixture.link(readerNames[0]).insert(await deckCard('employee'));
  // the tool's own waiting is for the next card only; pcscd shows this one within 400 ms
  const present = (): Promise<unknown> => run('opensc-tool', ['--reader', '0', '--atr']).catch(present);
  await present();
});
afterAll(() => fixture.close());

describe('opensc-tool sees a card of ISO 7816-4', () => {
  test('with the answer to reset of a Type B card behind a reader', async () => {
    const { stdout } = await run('opensc-tool', ['--reader', '0', '--atr']);
    expect(stdout.trim()).toMatch(/^3b:88:80:01(:[0-9a-f]{2}){9}$/);
  });

  test('whose Type C card AP is selected and read, by short file id and to the end of the file', async () => {
    const [selected, read, beyond] = await send(selectTypeC, '00 B0 81 00 00', '00 B0 00 7F 01');
    expect(selected?.status).toBe('9000');
    expect(read?.status).toBe('9000');
    expect(read?.output).toContain('L00012345');
    expect(beyond?.status).toBe('6B00');
  });

  test('whose Type A card AP gives file control information and a challenge, but no data', async () => {
    const [selected, challenge, read] = await send(selectTypeA, '00 84 00 00 08', '00 B0 81 00 0C');
    expect(selected?.output).toContain('6F');
    expect(challenge?.status).toBe('9000');
    expect(read?.status).toBe('6982');
  });

  test('that refuses what it does not know with the status words of the standard', async () => {
    expect(
      await statuses(
        '00 A4 04 0C 07 F0000000000001',
        selectTypeC,
        '00 B0 9E 00 00',
        '00 FE 00 00 00',
        '80 B0 81 00 00',
      ),
    ).toEqual(['6A82', '9000', '6A82', '6D00', '6E00']);
  });

  test('whose own applications can be selected by their public identifiers, and stay closed', async () => {
    const [jpki, counter, read] = await statuses(
      '00 A4 04 0C 0A D392F000260100000001',
      '00 20 00 80',
      '00 B0 81 00 00',
    );
    expect(jpki).toBe('9000');
    expect(counter).toMatch(/^(63C\d|6A88|6983|6984|6300|6982)$/);
    expect(read).not.toBe('9000');
  });

  test('that tells the tries of its PIN without counting one', async () => {
    const [, first, second] = await statuses(selectTypeA, '00 20 00 81', '00 20 00 81');
    expect([first, second]).toEqual(['63C3', '63C3']);
  });
});

describe('OpenSC takes it for the My Number Card that it plays', () => {
  test('by its JPKI application, since its answer to reset is that of many cards', async () => {
    const { stdout } = await run('opensc-tool', ['--reader', '0', '--name']);
    expect(stdout.trim()).toBe('jpki');
  });

  test('and asks for the tries of both its PINs, however often, without costing one', async () => {
    for (const _time of [1, 2, 3, 4]) {
      const { stdout } = await run('pkcs15-tool', ['--reader', '0', '--list-pins']);
      expect(stdout.match(/^PIN \[.*\]$/gm)).toEqual([
        'PIN [User Authentication PIN]',
        'PIN [Digital Signature PIN]',
      ]);
      expect([...stdout.matchAll(/Tries left +: (\d)/g)].map(([, tries]) => tries)).toEqual(['3', '5']);
    }
  });
});

describe('opensc-explorer walks the card', () => {
  test('into a card AP, by its identifier', async () => {
    const walk = await explore(fixture.folder, 'cd aid:F04B415A415355010C01', 'info');
    expect(walk).toMatch(/^Dedicated File/m);
    expect(walk).toContain('DF name:                 \\xF0KAZASU\\x01\\x0C\\x01');
    expect(walk).not.toMatch(/unable to|failed/i);
  });

  test('to a file, learns what it is and reads it', async () => {
    const walk = await explore(fixture.folder, 'cd aid:F04B415A415355010C01', 'info 0001', 'cat 0001');
    expect(walk).toMatch(/^Working Elementary File {2}ID 0001/m);
    expect(walk).toMatch(/^File size: +12 bytes$/m);
    expect(walk).toMatch(/^EF structure: +Transparent$/m);
    expect(walk).toMatch(/^Life cycle: +Operational, activated$/m);
    expect(walk).toContain('4C 30 30 30 31 32 33 34 35 20 20 20 L00012345');
    expect(walk).not.toMatch(/unable to|failed/i);
  });

  test('past what is not there and what is closed, and goes on', async () => {
    const walk = await explore(
      fixture.folder,
      'cd aid:F0000000000001',
      'cd aid:F04B415A415355010A01',
      'cat 0001',
      'cat 0002',
      'verify CHV129 31:32:33:34',
      'ls',
      'apdu 00 20 00 81',
      'random 8',
      'cd aid:F04B415A415355010C01',
      'cat 0001',
    );
    expect(walk).toContain('unable to select DF: File not found');
    expect(walk).toContain('Read failed: ');
    expect(walk).toContain('unable to select file: File not found');
    expect(walk).toContain('Unable to verify PIN code: Security status not satisfied');
    expect(walk).toContain('Unable to receive file listing: Not supported');
    expect(walk).toContain('Received (SW1=0x63, SW2=0xC3)');
    expect(walk).toMatch(/^00000000: ([0-9A-F]{2} ){8}/m);
    expect(walk).toContain('L00012345');
    expect(walk).not.toContain('E00012345');
  });
});
