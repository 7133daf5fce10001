// the library finds its own parts by metadata of decorators, which this defines
import 'reflect-metadata';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  type Name,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  X509CrlGenerator,
  X509CrlReason,
} from '@peculiar/x509';
import { toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import { Fault } from '#core/fault.ts';
import { certificateSerial } from '#core/sync/certificate-serial.ts';
import type {
  CertificateIssue,
  CertificateOrder,
  RevocationListOrder,
  RevocationReason,
  TerminalCertificateOrder,
  Validity,
} from '#ports/certificates.ts';
import type { Signing } from '#ports/signing.ts';
import { derInteger } from './der.ts';
import {
  commonName,
  issuanceSubject,
  nameConstraints,
  organizationSubject,
  terminalSubject,
} from './names.ts';
import { signatureAlgorithm, signingKey } from './signing-crypto.ts';

/** 2.5.29.30 and 2.5.29.20 (RFC 5280, 4.2.1.10 and 5.2.3) */
const nameConstraintsOid = '2.5.29.30';
const listNumberOid = '2.5.29.20';
const reasons: { readonly [reason in RevocationReason]: X509CrlReason } = {
  'key-compromise': X509CrlReason.keyCompromise,
  superseded: X509CrlReason.superseded,
  cessation: X509CrlReason.cessationOfOperation,
};

export interface AuthorityParts {
  /** its certificate, and those between it and the one that everybody knows; DER */
  readonly chain: readonly [Uint8Array, ...Uint8Array[]];
  readonly signing: Signing;
}

interface Contents extends CertificateOrder {
  readonly subject: Name;
  readonly extensions: readonly Extension[];
}

/** A certificate authority: its certificate, and the key that stays behind the signing port. */
export class Authority implements CertificateIssue {
  readonly #chain: readonly [Uint8Array, ...Uint8Array[]];
  readonly #signing: Signing;

  /** Throws a Fault `key-refused` where the key is not that of the certificate. */
  constructor({ chain, signing }: AuthorityParts) {
    const { publicKey } = new X509Certificate(plain(chain[0]));
    if (toHex(new Uint8Array(publicKey.rawData)) !== toHex(signing.publicKey())) {
      throw new Fault('key-refused', 'the key is not that of the certificate of the authority');
    }
    this.#chain = chain;
    this.#signing = signing;
  }

  /** The platform's: where all certificates come from. Its key signs when an authority is made, and else rests. */
  static async makePlatform(name: string, signing: Signing, order: Omit<CertificateOrder, 'publicKey'>) {
    const subject = commonName(name);
    const publicKey = signing.publicKey();
    const contents = { ...order, publicKey, subject, extensions: authorityExtensions(1) };
    return new Authority({ chain: [await sign(contents, subject, signing)], signing });
  }

  chain(): readonly [Uint8Array, ...Uint8Array[]] {
    return this.#chain;
  }

  /** An authority that names terminals of one organization, and neither anybody else nor a server. */
  issueOrganization(organization: string, order: CertificateOrder): Promise<Uint8Array> {
    const subject = organizationSubject(organization);
    const extensions = [
      ...authorityExtensions(0),
      new Extension(nameConstraintsOid, true, plain(nameConstraints(subject))),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
    ];
    return this.#issue({ ...order, subject, extensions });
  }

  /** The authority of the servers themselves: brokers, HTTPS, and the issuance server at the broker. */
  issueServices(name: string, order: CertificateOrder): Promise<Uint8Array> {
    return this.#issue({ ...order, subject: commonName(name), extensions: authorityExtensions(0) });
  }

  /** A server's, for the host names and addresses by which it is called; the first is its name. */
  issueServer(hosts: readonly [string, ...string[]], order: CertificateOrder): Promise<Uint8Array> {
    const names = hosts.map((value) => ({
      type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const),
      value,
    }));
    const extensions = [
      ...leafExtensions(ExtendedKeyUsage.serverAuth),
      new SubjectAlternativeNameExtension(names),
    ];
    return this.#issue({ ...order, subject: commonName(hosts[0]), extensions });
  }

  /** What the issuance server shows to the broker. */
  issueIssuance(order: CertificateOrder): Promise<Uint8Array> {
    return this.#issue({
      ...order,
      subject: issuanceSubject,
      extensions: leafExtensions(ExtendedKeyUsage.clientAuth),
    });
  }

  async issueTerminal({ identity, ...order }: TerminalCertificateOrder): Promise<Uint8Array> {
    const own = new X509Certificate(plain(this.#chain[0])).subjectName.toString();
    if (own !== organizationSubject(identity.organization).toString()) {
      throw new Fault(
        'argument-invalid',
        `${own} issues no certificate for a terminal of ${identity.organization}`,
      );
    }
    const extensions = leafExtensions(ExtendedKeyUsage.clientAuth);
    return this.#issue({ ...order, subject: terminalSubject(identity), extensions });
  }

  async issueRevocationList(order: RevocationListOrder): Promise<Uint8Array> {
    const { keys, crypto } = signingKey(this.#signing);
    const list = await X509CrlGenerator.create(
      {
        issuer: new X509Certificate(plain(this.#chain[0])).subjectName,
        thisUpdate: new Date(order.thisUpdateMs),
        nextUpdate: new Date(order.nextUpdateMs),
        entries: order.revoked.map(({ serialNumber, revokedAtMs, reason }) => ({
          serialNumber: certificateSerial.parse(serialNumber),
          revocationDate: new Date(revokedAtMs),
          reason: reasons[reason],
        })),
        extensions: [
          new AuthorityKeyIdentifierExtension(keyIdentifier(this.#signing.publicKey())),
          new Extension(listNumberOid, false, plain(derInteger(order.number))),
        ],
        signingAlgorithm: signatureAlgorithm,
        signingKey: keys.privateKey,
      },
      crypto,
    );
    return new Uint8Array(list.rawData);
  }

  #issue(contents: Contents): Promise<Uint8Array> {
    const issuer = new X509Certificate(plain(this.#chain[0]));
    checkWithin(contents, issuer);
    return sign(contents, issuer.subjectName, this.#signing);
  }
}

async function sign(contents: Contents, issuer: Name, signing: Signing): Promise<Uint8Array> {
  certificateSerial.parse(contents.serialNumber);
  const { keys, crypto } = signingKey(signing);
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: contents.serialNumber,
      subject: contents.subject,
      issuer,
      notBefore: new Date(contents.notBeforeMs),
      notAfter: new Date(contents.notAfterMs),
      publicKey: plain(contents.publicKey),
      extensions: [
        ...contents.extensions,
        new SubjectKeyIdentifierExtension(keyIdentifier(contents.publicKey)),
        new AuthorityKeyIdentifierExtension(keyIdentifier(signing.publicKey())),
      ],
      signingAlgorithm: signatureAlgorithm,
      signingKey: keys.privateKey,
    },
    crypto,
  );
  return new Uint8Array(certificate.rawData);
}

/** A certificate that outlives its authority stops serving before its holder expects it. */
function checkWithin({ notBeforeMs, notAfterMs }: Validity, issuer: X509Certificate): void {
  if (notBeforeMs < issuer.notBefore.getTime() || notAfterMs > issuer.notAfter.getTime()) {
    throw new Fault(
      'argument-invalid',
      `the authority ${issuer.subject} holds for a shorter time than what it is to sign`,
    );
  }
}

/** `below`: how many authorities may follow under it. */
function authorityExtensions(below: number): Extension[] {
  return [
    new BasicConstraintsExtension(true, below, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
  ];
}

function leafExtensions(usage: ExtendedKeyUsage): Extension[] {
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([usage]),
  ];
}

/** The first 160 bits of the SHA-256 of the point (RFC 7093, 2); in an SPKI of P-256 that is its last 65 bytes. */
function keyIdentifier(publicKey: Uint8Array): string {
  return toHex(digest('sha-256', publicKey.subarray(-65)).subarray(0, 20)).toLowerCase();
}

function plain(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}
