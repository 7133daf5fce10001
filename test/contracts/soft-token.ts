import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Where Debian puts the library of SoftHSM2. */
export const softHsm = '/usr/lib/softhsm/libsofthsm2.so';

/** A token of SoftHSM2, which stands in for a hardware one in tests; found by the variable SOFTHSM2_CONF. */
export interface SoftToken {
  readonly folder: string;
  readonly configuration: string;
  readonly label: string;
  readonly pinFile: string;
  /** folder where tries of the PIN are noted */
  readonly directory: string;
  /** enters a wrong PIN, as somebody else would */
  mistype(): Promise<void>;
  /** makes a key as another program would, from attributes by name */
  foreignKey(attributes: Readonly<Record<string, string | number | boolean>>): Promise<void>;
  /** runs pkcs11-tool, logged in as the user */
  tool(...words: readonly string[]): Promise<string>;
  remove(): Promise<void>;
}

/** Makes an empty token. `SOFTHSM2_CONF` must be set to its `configuration` where the library is loaded. */
export async function makeSoftToken(label = 'kazasu'): Promise<SoftToken> {
  const folder = await mkdtemp(join(tmpdir(), 'kazasu-token-'));
  const tokens = join(folder, 'tokens');
  await mkdir(tokens);
  const configuration = join(folder, 'softhsm2.conf');
  await writeFile(
    configuration,
    `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  );
  const pinFile = join(folder, 'pin');
  await writeFile(pinFile, '24681357\n', { mode: 0o600 });
  const env = { ...process.env, SOFTHSM2_CONF: configuration };
  const pins = ['--pin', '24681357', '--so-pin', '12345678'];
  await run('softhsm2-util', ['--init-token', '--free', '--label', label, ...pins], { env });
  return {
    folder,
    configuration,
    label,
    pinFile,
    directory: join(folder, 'tries'),
    mistype: async () => {
      const login = ['--module', softHsm, '--token-label', label, '--login', '--pin', '11111111'];
      await run('pkcs11-tool', [...login, '--list-objects'], { env }).then(
        () => Promise.reject(new Error('the token took a wrong PIN')),
        () => undefined,
      );
    },
    foreignKey: async (attributes) => {
      const maker = new URL('./foreign-key.ts', import.meta.url).pathname;
      await run(process.execPath, [maker, label, '24681357', JSON.stringify(attributes)], { env });
    },
    tool: async (...words) => {
      const login = ['--module', softHsm, '--token-label', label, '--login', '--pin', '24681357'];
      return (await run('pkcs11-tool', [...login, ...words], { env })).stdout;
    },
    remove: () => rm(folder, { recursive: true }),
  };
}

/** A module that passes all on to SoftHSM2 and misbehaves as it is told. */
export interface MisbehavingModule {
  readonly module: string;
  /** file by which it is told, named by the variable KAZASU_MISBEHAVIOUR */
  readonly toldBy: string;
  /** one of the words in misbehaving-module.c; an empty one ends it */
  misbehave(word: string): Promise<void>;
  /** how often anybody tried to log in */
  logins(): Promise<number>;
}

/** `KAZASU_MISBEHAVIOUR` must be set to its `toldBy` where the module is loaded. */
export async function makeMisbehavingModule({ folder }: SoftToken): Promise<MisbehavingModule> {
  const module = join(folder, 'misbehaving.so');
  const toldBy = join(folder, 'misbehaviour');
  const source = new URL('./misbehaving-module.c', import.meta.url).pathname;
  await run('gcc', ['-shared', '-fPIC', '-o', module, source, '-ldl']);
  await writeFile(`${toldBy}.logins`, '');
  return {
    module,
    toldBy,
    misbehave: (word) => writeFile(toldBy, word),
    logins: async () => (await readFile(`${toldBy}.logins`)).length,
  };
}
