import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { makeKeyFile, openKeyFile } from '#adapters/keyfile/signing.ts';
import { createFile, replaceFile } from '#adapters/process/durable-file.ts';
import { Authority } from '#adapters/x509/authority.ts';
import { certificatePem, readCertificatePem } from '#adapters/x509/pem.ts';
import { plainBytes } from '#core/bytes/bytes.ts';
import { parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { Fault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import { newCertificateSerial } from '#core/sync/certificate-serial.ts';
import { decodeSigned, encodeSigned, type SignedDocument } from '#core/sync/signed.ts';
import { organizationName } from '#core/sync/terminal-identity.ts';
import { readTrustRoot, type TrustRole, type TrustRoot, trustRoles } from '#core/sync/trust.ts';
import { addSignature, describeRoot, draftRoot, rootStanding } from '#issuance/trust/ceremony.ts';
import type { CertificateOrder } from '#ports/certificates.ts';
import { createOutput } from './output.ts';

interface Json {
  readonly json?: boolean;
}

export async function makeTrustKey(file: string, { json }: Json): Promise<void> {
  const keyId = (await makeKeyFile(file)).keyId();
  createOutput(json === true).result(
    { keyId, file, publicKey: `${file}.pub.pem` },
    `${keyId}\n${file}: the key, for its owner alone\n${file}.pub.pem: its public key`,
  );
}

type RootOptions = Json & {
  readonly out: string;
  readonly after?: string;
  readonly organization?: string;
  readonly authority?: readonly string[];
} & { readonly [role in TrustRole as `${role}Key`]?: readonly string[] } & {
  readonly [role in TrustRole as `${role}Threshold`]?: number;
};

export async function draftTrustRoot(options: RootOptions): Promise<void> {
  const { out, after, organization, authority } = options;
  const previous = after === undefined ? undefined : (await readRoot(after)).root;
  const roles: Partial<Record<TrustRole, { threshold?: number; keys?: readonly Uint8Array[] }>> = {};
  for (const role of trustRoles) {
    const [files, threshold] = [options[`${role}Key`], options[`${role}Threshold`]];
    roles[role] = {
      ...(files && { keys: await Promise.all(files.map(readPublicKey)) }),
      ...(threshold !== undefined && { threshold }),
    };
  }
  const authorities = authority && (await Promise.all(authority.map(readCertificates))).flat();
  const change = {
    roles,
    ...(organization !== undefined && { organization }),
    ...(authorities && { authorities }),
  };
  const document = draftRoot(change, Date.now(), previous);
  await createFile(out, encodeSigned(document));
  tell(options, out, document, previous);
}

export async function signTrustRoot(file: string, options: Json & { readonly key: string }): Promise<void> {
  const { document } = await readRoot(file);
  const signed = await addSignature(document, await openKeyFile(options.key));
  await replaceFile(file, encodeSigned(signed));
  tell(options, file, signed);
}

export async function checkTrustRoot(
  file: string,
  options: Json & { readonly after?: string },
): Promise<void> {
  const { document } = await readRoot(file);
  const previous = options.after === undefined ? undefined : (await readRoot(options.after)).root;
  tell(options, file, document, previous);
  if (rootStanding(document, previous) !== 'complete') process.exitCode = 1;
}

function tell({ json }: Json, file: string, document: SignedDocument, previous?: TrustRoot): void {
  const standing = rootStanding(document, previous);
  const signers = document.signatures.map(({ keyId }) => keyId).sort();
  const root = readTrustRoot(document.raw);
  const words =
    standing === 'complete'
      ? previous
        ? 'complete: terminals follow it'
        : 'complete as a first root; with --after it is checked as the next'
      : `not complete: ${standing}`;
  createOutput(json === true).result(
    { file, standing, signers, ...(root.kind === 'accepted' && { version: root.value.version }) },
    [
      ...(root.kind === 'accepted' ? describeRoot(root.value) : []),
      'signed by:',
      ...signers.map((keyId) => `  ${keyId}`),
      `${file}: ${words}`,
    ].join('\n'),
  );
}

interface CertifyOptions extends Json {
  readonly key: string;
  readonly out: string;
  readonly by?: string;
  readonly publicKey?: string;
  readonly organization?: string;
  readonly name?: string;
  readonly host?: readonly string[];
  readonly years?: number;
}

const usualYears: Readonly<Record<string, number>> = {
  platform: 20,
  services: 10,
  organization: 10,
  server: 2,
  issuance: 2,
};
const yearMs = 365 * 86_400_000;
/** clocks differ */
const backdatedMs = 3_600_000;

export async function certify(kind: string, options: CertifyOptions): Promise<void> {
  const usual = usualYears[kind];
  if (usual === undefined) {
    throw new Fault('argument-invalid', `"${kind}" is none of ${Object.keys(usualYears).join(', ')}`);
  }
  const signing = await openKeyFile(options.key);
  const nowMs = Date.now();
  const life = {
    serialNumber: newCertificateSerial(randomBytes(16)),
    notBeforeMs: nowMs - (kind === 'platform' ? 24 * backdatedMs : backdatedMs),
    notAfterMs: nowMs + (options.years ?? usual) * yearMs,
  };
  if (kind === 'platform') {
    const platform = await Authority.makePlatform(options.name ?? 'Kazasu', signing, life);
    return write(options, kind, platform.chain());
  }
  const [own, ...above] = await readCertificates(required(options.by, '--by'));
  if (!own) throw new Fault('file-unreadable', `${options.by} has no certificate`);
  const authority = new Authority({ chain: [own, ...above], signing });
  const order = { ...life, publicKey: await readPublicKey(required(options.publicKey, '--public-key')) };
  const certificate = await issue(kind, authority, order, options);
  await write(options, kind, [certificate, ...authority.chain()]);
}

function issue(
  kind: string,
  authority: Authority,
  order: CertificateOrder,
  { organization, name, host }: CertifyOptions,
): Promise<Uint8Array> {
  if (kind === 'services') return authority.issueServices(name ?? 'Kazasu services', order);
  if (kind === 'issuance') return authority.issueIssuance(order);
  if (kind === 'server') {
    const [first, ...more] = host ?? [];
    return authority.issueServer([required(first, '--host'), ...more], order);
  }
  const checked = organizationName.safeParse(required(organization, '--organization'));
  if (checked.success) return authority.issueOrganization(checked.data, order);
  throw new Fault('argument-invalid', `the id of an organization ${checked.error.issues[0]?.message}`);
}

async function write(
  { out, json }: CertifyOptions,
  kind: string,
  chain: readonly Uint8Array[],
): Promise<void> {
  await createFile(out, Buffer.from(certificatePem(...chain)));
  createOutput(json === true).result({ kind, file: out }, `${out}: certificate for ${kind}`);
}

function required(value: string | undefined, option: string): string {
  if (value === undefined) throw new Fault('argument-invalid', `${option} is missing`);
  return value;
}

export async function readRoot(
  file: string,
): Promise<{ readonly document: SignedDocument; readonly root: TrustRoot }> {
  const document = decodeSigned(plainBytes(await read(file)));
  const root = document.kind === 'accepted' ? readTrustRoot(document.value.raw) : document;
  if (document.kind === 'refused' || root.kind === 'refused') {
    throw new Fault('file-unreadable', `${file} is no root of trust`);
  }
  return { document: document.value, root: root.value };
}

async function readPublicKey(file: string): Promise<Uint8Array> {
  const key = parseDevicePublicKey((await read(file)).toString('utf8'))?.key;
  if (!key) throw new Fault('file-unreadable', `${file} is no public key (PEM) of ECDSA P-256`);
  return plainBytes(key.export({ format: 'der', type: 'spki' }));
}

export async function readCertificates(file: string): Promise<readonly Uint8Array[]> {
  const certificates = readCertificatePem((await read(file)).toString('utf8'));
  if (certificates.length === 0) throw new Fault('file-unreadable', `${file} has no certificate (PEM)`);
  return certificates;
}

async function read(file: string): Promise<Buffer> {
  return readFile(file).catch((error: unknown) => {
    throw unreadable(file, error);
  });
}
