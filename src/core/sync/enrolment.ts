import { z } from 'zod';
import { toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import { documentBytes } from './document.ts';
import { base64 } from './signed.ts';
import { organizationName, type TerminalIdentity, terminalName } from './terminal-identity.ts';

const format = z.literal(1);
/** 32 random bytes */
const secret = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
const server = z.url({ protocol: /^https$/ }).max(256);
const host = z.string().min(1).max(253);

/** What an administrator carries to a device: whoever has it, once and until it ends, becomes this terminal. */
export const enrolmentFileSchema = z.strictObject({
  type: z.literal('enrolment'),
  format,
  organization: organizationName,
  terminal: terminalName,
  /** in order of preference */
  servers: z.array(server).min(1).max(8),
  /** certificate (DER) of the authority that servers come from */
  authority: base64,
  /** the root of trust of the organization, signed (`encodeSigned`) */
  trustRoot: base64,
  secret,
  expiresAtMs: z.int().min(0),
});
export type EnrolmentFile = z.output<typeof enrolmentFileSchema>;

/** What a device proves: it has the key of a certificate request, and the key that will sign its journal. */
const keyProof = {
  /** PKCS#10, DER */
  request: base64.max(8_192),
  /** SubjectPublicKeyInfo, DER */
  deviceKey: base64.max(256),
  /** by the device key, over `deviceKeyProof` */
  proof: z.string().regex(/^[0-9A-F]{128}$/),
};

export const enrolmentRequestSchema = z.strictObject({
  format,
  organization: organizationName,
  terminal: terminalName,
  secret,
  ...keyProof,
});
export type EnrolmentRequest = z.output<typeof enrolmentRequestSchema>;

export const renewalRequestSchema = z.strictObject({ format, ...keyProof });
export type RenewalRequest = z.output<typeof renewalRequestSchema>;

export const certificateAnswerSchema = z.strictObject({
  format,
  /** DER; of the terminal, then of the authorities above it up to the one of the enrolment file */
  certificates: z.array(base64.max(8_192)).min(2).max(4),
  /** in order of preference */
  brokers: z
    .array(z.strictObject({ host, port: z.int().min(1).max(65_535) }))
    .min(1)
    .max(8),
});
export type CertificateAnswer = z.output<typeof certificateAnswerSchema>;

/** The bytes that a device key signs to be enrolled with a certificate request, and with no other. */
export function deviceKeyProof(
  { organization, terminal }: TerminalIdentity,
  request: Uint8Array,
): Uint8Array {
  const requestHash = toHex(digest('sha-256', request));
  return documentBytes({ type: 'device-key-proof', format: 1, organization, terminal, requestHash });
}
