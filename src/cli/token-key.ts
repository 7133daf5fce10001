import { publicKeyPem } from '#adapters/keyfile/signing.ts';
import { createFile } from '#adapters/process/durable-file.ts';
import { Fault } from '#core/fault.ts';
import { shortId } from '#issuance/organizations/organizations.ts';
import type { SigningPurpose } from '#ports/signing-keys.ts';
import { withIssuance } from './issuance-organization.ts';
import { createOutput } from './output.ts';

interface TokenKeyOptions {
  readonly config: string;
  readonly organization: string;
  readonly out: string;
  readonly json?: boolean;
}

/** Writes a public key for the ceremony. Rejects with `argument-invalid` where the configuration names no token for it. */
export async function writeTokenKey(
  purpose: SigningPurpose,
  { config, organization, out, json }: TokenKeyOptions,
): Promise<void> {
  const id = shortId.safeParse(organization);
  if (!id.success) throw new Fault('argument-invalid', `the id ${id.error.issues[0]?.message ?? 'is wrong'}`);
  await withIssuance(config, async ({ signingKeys }) => {
    if (!signingKeys?.holds(purpose)) {
      throw new Fault('argument-invalid', `${config} keeps keys of this purpose in no token (keys.holds)`);
    }
    const key = await signingKeys.key(id.data, purpose, true);
    if (!key) throw new Fault('key-unavailable', 'the token has made no key');
    await createFile(out, Buffer.from(publicKeyPem(key.publicKey())));
    const keyId = key.keyId();
    createOutput(json === true).result({ keyId, file: out }, `${out}: ${keyId}`);
  });
}
