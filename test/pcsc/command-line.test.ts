import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deckFile, profileFile } from '../contracts/deck.ts';
import { emulate, kazasu } from './kazasu-process.ts';
import { openPcscdFixture, type PcscdFixture, readerNames } from './pcscd-fixture.ts';

const typeA = profileFile('synthetic-type-a');
const typeC = profileFile('synthetic-type-c');

describe('without pcscd', () => {
  test('every command that needs it says so, and fails', async () => {
    for (const words of [
      ['readers'],
      ['card', 'emulate', '--card', deckFile('employee')],
      ['card', 'read', '--profile', typeC],
    ]) {
      const { code, stderr } = await kazasu(...words);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^kazasu: reader-service-absent: .*pcscd/);
    }
  });
});

describe('with pcscd', () => {
  let fixture: PcscdFixture;
  let keyFile: string;
  let pinFile: string;
  beforeAll(async () => {
    fixture = await openPcscdFixture();
    keyFile = await fixture.keyFile();
    pinFile = join(fixture.folder, 'pin');
    await writeFile(pinFile, '1234\n', { mode: 0o600 });
  });
  afterAll(() => fixture.close());

  test('readers lists the exact names, for people and for machines', async () => {
    const text = await kazasu('readers');
    expect(text).toMatchObject({
      code: 0,
      stdout: 'Virtual PCD 00 00: present, virtual\nVirtual PCD 00 01: present, virtual\n',
    });
    const { readers } = JSON.parse((await kazasu('--json', 'readers')).stdout);
    expect(readers).toEqual(readerNames.map((name) => ({ name, state: 'present', virtual: true })));
  });

  test('a card emulated by one command is read by another, with its PIN', async () => {
    const card = await emulate(deckFile('employee'));
    const words = [
      'card',
      'read',
      '--profile',
      typeA,
      typeC,
      '--keys',
      keyFile,
      '--pin-file',
      pinFile,
      '--wait',
    ];
    const { code, stdout } = await kazasu(...words);
    expect(code).toBe(0);
    expect(stdout).toContain('reader       Virtual PCD 00 00 (virtual)');
    expect(stdout).toContain('method       type-a');
    expect(stdout).toContain('assurance    mutual-authentication, message-authentication, pin');
    expect(stdout).toContain('user number  E00012345');
    expect(stdout).toMatch(/timings +connect \d+, select \d+, authenticate \d+, read \d+ µs; 4 exchanges/);
    const asTypeC = await kazasu('--json', 'card', 'read', '--profile', typeC, '--reader', readerNames[0]);
    expect(JSON.parse(asTypeC.stdout)).toMatchObject({
      outcome: 'reading',
      virtual: true,
      reading: { method: 'type-c', userNumber: 'L00012345', assurance: [] },
    });
    expect(await card.stop()).toMatchObject({ code: 0, stdout: '' });
  });

  test('only a reading is a success', async () => {
    const card = await emulate(deckFile('blocked-pin'));
    const blocked = await kazasu(
      'card',
      'read',
      '--profile',
      typeA,
      '--keys',
      keyFile,
      '--pin-file',
      pinFile,
      '--wait',
    );
    expect(blocked).toMatchObject({ code: 1, stdout: 'the PIN is blocked\n' });
    const keyless = await kazasu('--json', 'card', 'read', '--profile', typeA);
    expect(keyless.code).toBe(1);
    expect(JSON.parse(keyless.stdout)).toMatchObject({
      outcome: { kind: 'refused', fault: { code: 'key-unavailable' } },
    });
    const unknown = await kazasu('card', 'read', '--profile', typeC);
    expect(unknown).toMatchObject({ code: 1, stdout: expect.stringContaining('none of the card APs') });
    await card.stop();
  });

  test('a PIN file that others can read, an unknown reader and an empty reader are refused', async () => {
    await chmod(pinFile, 0o644);
    const open = await kazasu('card', 'read', '--profile', typeA, '--pin-file', pinFile);
    expect(open.stderr).toMatch(/^kazasu: argument-invalid: .*chmod 600/);
    await chmod(pinFile, 0o600);
    const elsewhere = await kazasu('card', 'read', '--profile', typeC, '--reader', 'Virtual PCD 00 0');
    expect(elsewhere.stderr).toMatch(/^kazasu: reader-absent: .*"Virtual PCD 00 00", "Virtual PCD 00 01"/);
    const empty = await kazasu('card', 'read', '--profile', typeC);
    expect(empty.stderr).toMatch(/^kazasu: deadline-exceeded: .*--wait/);
    expect([open.code, elsewhere.code, empty.code]).toEqual([1, 1, 1]);
  });
});
