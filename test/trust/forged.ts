import 'reflect-metadata';
import {
  BasicConstraintsExtension,
  type Extension,
  type JsonNameParams,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { TlsCredentials } from '#adapters/mqtt/credentials.ts';
import { certificatePem } from '#adapters/x509/pem.ts';
import { signingKey } from '#adapters/x509/signing-crypto.ts';
import { TestKey } from './test-key.ts';
import { order } from './test-pki.ts';

/** A certificate as somebody makes it who has an authority's key and follows no rule. */
export interface Forgery {
  /** chain of the authority, its own certificate first; where absent, the certificate signs itself */
  readonly chain?: readonly Uint8Array[];
  readonly signing: TestKey;
  readonly subject: JsonNameParams;
  readonly hosts?: readonly string[];
  readonly authority?: true;
  readonly days?: number;
  readonly beganMsAgo?: number;
}

/** The certificate, with the key it is for. */
export async function forge(
  forgery: Forgery,
): Promise<{ readonly certificate: Uint8Array; readonly key: TestKey }> {
  const { chain = [], signing, subject, hosts, authority, days, beganMsAgo = 3_600_000 } = forgery;
  const key = chain.length === 0 ? signing : new TestKey();
  const { keys, crypto } = signingKey(signing);
  const made = order(key.publicKey(), days);
  const [issuer] = chain;
  const name = new Name(subject);
  const extensions: Extension[] = [
    new BasicConstraintsExtension(authority === true, undefined, true),
    new KeyUsagesExtension(
      authority ? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign : KeyUsageFlags.digitalSignature,
      true,
    ),
    ...(hosts ? [new SubjectAlternativeNameExtension(hosts.map((value) => ({ type: 'dns', value })))] : []),
  ];
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: made.serialNumber,
      subject: name,
      issuer: issuer ? new X509Certificate(new Uint8Array(issuer)).subjectName : name,
      notBefore: new Date(Date.now() - beganMsAgo),
      notAfter: new Date(made.notAfterMs),
      publicKey: new Uint8Array(key.publicKey()),
      extensions,
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
      signingKey: keys.privateKey,
    },
    crypto,
  );
  return { certificate: new Uint8Array(certificate.rawData), key };
}

/** What somebody shows who has made such a certificate. */
export async function forgedCredentials(forgery: Forgery, authorities: string): Promise<TlsCredentials> {
  const { certificate, key } = await forge(forgery);
  return {
    certificates: certificatePem(certificate, ...(forgery.chain ?? [])),
    privateKey: key.pem(),
    authorities,
  };
}
