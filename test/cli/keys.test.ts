import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SealedCardKeys } from '#adapters/sealed/sealed-card-keys.ts';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { deriveCardKeys } from '#core/card/diversification.ts';
import { AesCmac } from '#core/crypto/cmac.ts';
import { profileFile } from '../contracts/deck.ts';
import { makeTestVault } from '../contracts/test-vault.ts';
import { kazasu, refusal } from './kazasu.ts';

const folder = mkdtempSync(join(tmpdir(), 'kazasu-keys-'));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true }));

const components = ['00112233445566778899AABBCCDDEEFF', '0F1E2D3C4B5A69788796A5B4C3D2E1F0'];
const master = '0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F';
const checkValue = toHex(new AesCmac(fromHex(master)).mac(new Uint8Array(16)).slice(0, 5));
const typeA = profileFile('synthetic-type-a');
const secrets = [...components, master];

function secret(name: string, text: string): string {
  writeFileSync(at(name), text, { mode: 0o600 });
  return at(name);
}

beforeAll(() => {
  secret('passphrase', 'the centre’s passphrase of a test\n');
  secret('sealing-passphrase', 'the terminal’s passphrase of a test\n');
  writeFileSync(at('vault.yaml'), 'kind: vault-file\nfile: vault\nsealing: { passphraseFile: passphrase }\n');
  writeFileSync(
    at('terminal.yaml'),
    `formatVersion: 1
terminal: entrance
stateDirectory: ${folder}
cardProfiles: [${typeA}]
keys: { kind: card-keys, directory: card-keys, sealing: { passphraseFile: sealing-passphrase } }
readers: [{ id: reader, name: absent, door: door }]
doors: [{ id: door, hardware: { strike: { kind: gpio, chip: absent, line: 1 } } }]
`,
  );
  secret('one', `${components[0]?.replaceAll(/(.{4})/g, '$1 ')}\n`);
  secret('two', components[1] ?? '');
  writeFileSync(
    at('holders.csv'),
    'user_number,profile,key_version,diversifier\nE1,synthetic-type-a,1,4B415A41535500000001\nE2,synthetic-type-a,,4B415A41535500000002\nE3,synthetic-type-a,1,\nL1,synthetic-type-c,,\n',
  );
});

async function ok(...words: readonly string[]): Promise<{ out: string; err: string }> {
  const { code, out, err } = await kazasu(...words);
  for (const text of secrets) expect(out + err).not.toContain(text);
  expect({ code, err: code === 0 ? '' : err }).toEqual({ code: 0, err: '' });
  return { out, err };
}

describe('from the ceremony to the terminal and its loss', () => {
  const importing = ['keys', 'import', '--vault', at('vault.yaml'), '--profile', typeA, '--key-version'];
  const receiver = [
    ...['keys', 'receiver', '--config', at('terminal.yaml')],
    ...['--out', at('entrance.json')],
  ];
  let fingerprint = '';
  let fileFingerprint = '';

  test('a key comes from its components, and must be the one that was recorded', async () => {
    const both = ['--component', at('one'), at('two')];
    const said = await refusal(...importing, '1', ...both, '--check-value', '0000000000');
    expect(said).toContain(`key-refused: the key has the check value ${checkValue}; a component is wrong`);
    const { out, err } = await ok(...importing, '1', ...both, '--check-value', checkValue.toLowerCase());
    expect(out).toBe(`imported synthetic-type-a version 1: AES-128, an10922, check value ${checkValue}\n`);
    expect(err.match(/check value [0-9A-F]{10}/g)).toHaveLength(2);
    expect(await refusal(...importing, '9', ...both)).toContain('does not list key version 9');
    expect(await refusal(...importing, '1', ...both)).toContain('key-refused');
    expect(await refusal(...importing, '2', '--component', secret('bad', 'XY'))).toContain('hexadecimal');
    const { out: listed } = await ok('keys', 'list', '--vault', at('vault.yaml'), '--json');
    expect(JSON.parse(listed)).toMatchObject({
      keys: [{ profileId: 'synthetic-type-a', version: 1, checkValue }],
    });
  });

  test.each([
    ['a component twice', ['one', 'two', 'again'], /one and .*again hold the same component/],
    ['one file twice', ['one', 'one'], /one and .*one hold the same component/],
    ['a component of zeros', ['one', 'zeros'], /zeros is all zeros/],
    ['zeros alone', ['zeros'], /zeros is all zeros/],
    ['components that cancel out', ['one', 'two', 'sum'], /the components add up to zeros/],
    ['components of two lengths', ['one', 'long'], /long has another length/],
  ])('%s makes no key', async (_name, files, message) => {
    secret('again', components[0]?.toLowerCase() ?? '');
    secret('zeros', '0'.repeat(32));
    secret('sum', master);
    secret('long', '11'.repeat(24));
    const said = await refusal(...importing, '2', '--component', ...files.map(at));
    expect(said).toMatch(message);
    expect(said).toContain('key-refused');
    for (const text of [...secrets, '0'.repeat(32)]) expect(said.toUpperCase()).not.toContain(text);
  });

  test('the terminal says plainly that nothing seals its keys', async () => {
    const { out } = await ok('config', 'check', at('terminal.yaml'));
    expect(out).toContain('keys not sealed');
  });

  test.each([
    ['{ kind: card-keys, directory: ../card-keys,', 'keys.directory'],
    ['{ kind: vault-file, file: /etc/kazasu/vault,', 'keys.file'],
  ])('keys that it could not write or erase are refused: %s', async (written, where) => {
    const terminal = readFileSync(at('terminal.yaml'), 'utf8');
    writeFileSync(
      at('elsewhere.yaml'),
      terminal.replace('{ kind: card-keys, directory: card-keys,', written),
    );
    const said = await refusal('config', 'check', at('elsewhere.yaml'));
    expect(said).toMatch(new RegExp(`config-invalid: .*${where}: .* is outside stateDirectory`));
  });

  test('keys go to the terminal whose fingerprint was compared', async () => {
    fingerprint = JSON.parse((await ok(...receiver, '--json')).out).fingerprint;
    expect(JSON.parse((await ok(...receiver, '--json')).out).fingerprint).toBe(fingerprint);
    const exporting = [
      ...['keys', 'export-cards', '--vault', at('vault.yaml'), '--cards', at('holders.csv')],
      ...['--profile', typeA, profileFile('synthetic-type-c'), '--for-terminal', at('entrance.json')],
      ...['--register', at('register'), '--out', at('entrance.keys')],
    ];
    expect(await refusal(...exporting, '--fingerprint', 'AAAA')).toContain('another fingerprint');
    const { out, err } = await ok(...exporting, '--fingerprint', fingerprint);
    expect(out).toContain('the keys of 2 cards for terminal entrance');
    fileFingerprint = /fingerprint ([0-9A-F ]+)\n/.exec(out)?.[1] ?? '';
    expect(err).toContain('2 lines without diversified keys');
    expect(readdirSync(at('register/entrance'))).toHaveLength(1);
    expect(statSync(at('entrance.keys')).mode & 0o777).toBe(0o600);
    expect(readFileSync(at('entrance.keys')).includes(Buffer.from('4B415A41535500000001', 'hex'))).toBe(
      false,
    );
  });

  test('they are installed whole, and serve the cards of the list', async () => {
    const install = ['keys', 'install-cards', '--config', at('terminal.yaml')];
    writeFileSync(at('cut.keys'), readFileSync(at('entrance.keys')).subarray(0, -1));
    install.push('--fingerprint', fileFingerprint);
    expect(await refusal(...install, at('cut.keys'))).toContain('another fingerprint');
    expect((await ok(...install, at('entrance.keys'))).out).toContain('installed the keys of 2 cards');
    const keys = new SealedCardKeys({
      directory: at('card-keys'),
      sealing: { passphraseFile: at('sealing-passphrase') },
    });
    await keys.start();
    const diversifier = fromHex('4B415A41535500000002');
    const request = {
      profileId: 'synthetic-type-a',
      keyVersion: 1,
      diversification: 'an10922',
      diversifier,
    } as const;
    expect(await keys.cardKeys(request)).toEqual(deriveCardKeys(fromHex(master), 'an10922', diversifier));
    await keys.stop();
  });

  test.each([
    ['a vault', 'vault', 'passphrase', [...importing, '2', '--component', at('one')]],
    ['a receiving key', 'card-keys/receiving-key', 'sealing-passphrase', receiver],
  ])('%s that cannot be opened is told, and never replaced', async (_name, stored, passphrase, command) => {
    const before = readFileSync(at(stored));
    chmodSync(at(stored), 0o000);
    expect(await refusal(...command)).toMatch(new RegExp(`file-unreadable: .*${stored} .*no permission`));
    chmodSync(at(stored), 0o600);
    renameSync(at(passphrase), at('elsewhere'));
    expect(await refusal(...command)).toMatch(new RegExp(`file-unreadable: .*${passphrase} .*not exist`));
    renameSync(at('elsewhere'), at(passphrase));
    renameSync(at(stored), at('elsewhere'));
    mkdirSync(at(stored));
    expect(await refusal(...command)).toContain(`key-file-invalid: ${at(stored)} is no file`);
    rmSync(at(stored), { recursive: true });
    renameSync(at('elsewhere'), at(stored));
    expect(readFileSync(at(stored))).toEqual(before);
  });

  test('the loss of a terminal names the cards to give new keys', async () => {
    const lost = ['keys', 'lost', '--register', at('register'), '--terminal'];
    const { out, err } = await ok(...lost, 'entrance');
    expect(out).toBe(
      'profile,key_version,diversifier\nsynthetic-type-a,1,4B415A41535500000001\nsynthetic-type-a,1,4B415A41535500000002\n',
    );
    expect(err).toContain('2 cards');
    expect(await refusal(...lost, 'nowhere')).toContain('knows no export to terminal nowhere');
  });

  test('a master key is destroyed by naming its check value', async () => {
    const destroy = [
      'keys',
      'destroy',
      '--vault',
      at('vault.yaml'),
      '--profile',
      'synthetic-type-a',
      '--key-version',
      '1',
    ];
    expect(await refusal(...destroy)).toContain(`--confirm ${checkValue}`);
    await ok(...destroy, '--confirm', checkValue);
    expect((await ok('keys', 'list', '--vault', at('vault.yaml'))).out).toBe('the vault has no keys\n');
  });
});

describe('a list of cards', () => {
  let exporting: readonly string[];
  beforeAll(async () => {
    mkdirSync(at('lists'));
    const key = fromHex(master);
    const vault = await makeTestVault(at('lists'), [
      { profileId: 'synthetic-type-a', version: 1, diversification: 'an10922', key },
    ]);
    const receiver = ['keys', 'receiver', '--config', at('terminal.yaml'), '--out', at('again.json')];
    const { fingerprint } = JSON.parse((await ok(...receiver, '--json')).out);
    exporting = [
      ...['keys', 'export-cards', '--vault', vault, '--cards', at('list.csv')],
      ...['--profile', typeA, profileFile('synthetic-type-d')],
      ...['--for-terminal', at('again.json'), '--fingerprint', fingerprint],
      ...['--register', at('none'), '--out', at('no')],
    ];
  });

  test.each([
    ['a column is missing', 'profile,diversifier\n', /:1: no column key_version/],
    [
      'a diversifier is none',
      'profile,key_version,diversifier\nsynthetic-type-a,1,XY\n',
      /:2: the diversifier is not/,
    ],
    [
      'a version is none',
      'profile,key_version,diversifier\nsynthetic-type-a,300,01020304\n',
      /:2: the key version/,
    ],
    [
      'an Individual Number stands for a diversifier',
      'profile,key_version,diversifier\nsynthetic-type-a,1,123456789018\n',
      /:2: .*Individual Number/,
    ],
    [
      'no card has keys of its own',
      'profile,key_version,diversifier\nsynthetic-type-c,,\n',
      /list\.csv names no card that gets keys/,
    ],
    [
      'a card has a version that its profile does not',
      'profile,key_version,diversifier\nsynthetic-type-a,1,01020304\nsynthetic-type-a,7,01020304\n',
      /the list names key version 7 of card profile synthetic-type-a, which lists the versions 1, 2/,
    ],
    [
      'a card has a version that the vault does not',
      'profile,key_version,diversifier\nsynthetic-type-a,1,01020304\nsynthetic-type-a,2,01020304\n',
      /the vault has no master key of key version 2 of card profile synthetic-type-a/,
    ],
    [
      'a card has a profile that the vault has nothing of',
      'profile,key_version,diversifier\nsynthetic-type-a,1,01020304\nsynthetic-type-d,,01020304\n',
      /the vault has no master key of card profile synthetic-type-d, which lists the versions 1, 2/,
    ],
  ])('in which %s exports nothing', async (_name, list, message) => {
    writeFileSync(at('list.csv'), list);
    const said = await refusal(...exporting);
    expect(said).toMatch(message);
    expect(said).not.toContain('123456789018');
    expect(existsSync(at('none')) || existsSync(at('no'))).toBe(false);
  });
});
