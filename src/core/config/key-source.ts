import { z } from 'zod';
import { duration } from './duration.ts';

const path = z.string().min(1).describe('path of a file; a relative one counts from this file');

/** What keys at rest are encrypted under. */
const sealing = z
  .strictObject({
    credential: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,64}$/, 'is no name of a credential')
      .optional()
      .describe('name of a systemd credential of at least 32 random bytes; encrypt it to the TPM'),
    passphraseFile: path
      .optional()
      .describe('file with a passphrase, mode 0600: whoever has the disk has the keys, they are not sealed'),
  })
  .refine(
    (it) => (it.credential === undefined) !== (it.passphraseFile === undefined),
    'must have one of credential and passphraseFile',
  );

export type Sealing = z.output<typeof sealing>;

/** Where keys come from: the `keys` of a terminal, or a file of its own for commands. */
export const keySourceSchema = z.discriminatedUnion('kind', [
  z
    .strictObject({
      kind: z.literal('card-keys'),
      directory: path.default('/var/lib/kazasu/card-keys').describe('where the keys of cards are installed'),
      sealing,
    })
    .describe('no master key: only the keys of the cards allowed here, sealed to this device'),
  z
    .strictObject({ kind: z.literal('vault-file'), file: path, sealing })
    .describe('master keys in a sealed file'),
  z
    .strictObject({
      kind: z.literal('pkcs11'),
      module: z.string().startsWith('/', 'an absolute path').describe('PKCS#11 library of the token'),
      token: z.string().min(1).max(32).describe('label of the token'),
      pinFile: path.describe('file with the PIN of the token’s user, mode 0600'),
      directory: path
        .default('/var/lib/kazasu/token')
        .describe('where each try of the PIN is noted, so that a wrong one is tried once'),
      timeout: duration(50, 2_000)
        .prefault('1 s')
        .describe('limit of the token for the keys of one card; one that takes longer is started again'),
    })
    .describe('master keys in a hardware token'),
]);

export type KeySource = z.output<typeof keySourceSchema>;

/** What to say of keys that nothing but a file's mode protects, or of a promise that cannot be checked here. */
export function sealingRemark(source: KeySource): string | undefined {
  if (source.kind === 'pkcs11') return undefined;
  return source.sealing.passphraseFile === undefined
    ? `keys sealed by the systemd credential ${source.sealing.credential}: to this device only if it was encrypted to the TPM`
    : 'keys not sealed: the passphrase lies beside them, protected by its file mode alone';
}
