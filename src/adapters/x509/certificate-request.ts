// the library finds its own parts by metadata of decorators, which this defines
import 'reflect-metadata';
import { generateKeyPairSync, sign, webcrypto } from 'node:crypto';
import { Pkcs10CertificateRequest, Pkcs10CertificateRequestGenerator } from '@peculiar/x509';
import { plainBytes, toHex } from '#core/bytes/bytes.ts';
import { parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { digest } from '#core/crypto/digest.ts';
import type { MakeCertificateKey, ReadCertificateRequest } from '#ports/certificates.ts';
import type { Signing } from '#ports/signing.ts';
import { signatureAlgorithm, signingKey } from './signing-crypto.ts';

/** one of a P-256 key has about 250 bytes; other programs add what they wish for */
const maximumBytes = 4_096;
/** an SPKI with a named curve and a point that is not compressed (RFC 5480): the one form whose id is compared */
const spkiBytes = 91;

/** A request (PKCS#10, DER) for a certificate of this key. It asks for no name: the server knows whose secret came with it. */
export async function makeCertificateRequest(signing: Signing): Promise<Uint8Array> {
  const { keys, crypto } = signingKey(signing);
  const request = await Pkcs10CertificateRequestGenerator.create(
    { keys, signingAlgorithm: signatureAlgorithm },
    crypto,
  );
  return new Uint8Array(request.rawData);
}

/** A new key, with a request for a certificate of it. */
export const makeCertificateKey: MakeCertificateKey = async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = plainBytes(publicKey.export({ format: 'der', type: 'spki' }));
  const signing: Signing = {
    keyId: () => toHex(digest('sha-256', spki)),
    publicKey: () => spki,
    sign: async (message) =>
      plainBytes(sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })),
  };
  return {
    privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    request: await makeCertificateRequest(signing),
  };
};

export const readCertificateRequest: ReadCertificateRequest = async (bytes) => {
  if (bytes.length > maximumBytes) return undefined;
  try {
    const request = new Pkcs10CertificateRequest(new Uint8Array(bytes));
    const publicKey = new Uint8Array(request.publicKey.rawData);
    if (publicKey.length !== spkiBytes || !parseDevicePublicKey(publicKey)) return undefined;
    // webcrypto of Node and of the library's types are one interface in two declarations
    return (await request.verify(webcrypto as unknown as webcrypto.Crypto)) ? publicKey : undefined;
  } catch {
    return undefined;
  }
};
