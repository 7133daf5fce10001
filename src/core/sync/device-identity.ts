import { z } from 'zod';
import { certificateAnswerSchema, enrolmentFileSchema } from './enrolment.ts';
import { base64 } from './signed.ts';

const format = z.literal(1);
/** PKCS#8, PEM */
const privateKey = z.string().startsWith('-----BEGIN PRIVATE KEY-----').max(1_024);

/** What an enrolled device keeps of who it is; a secret, since the key is in it. */
export const deviceIdentitySchema = z.strictObject({
  type: z.literal('device-identity'),
  format,
  ...enrolmentFileSchema.pick({
    organization: true,
    terminal: true,
    servers: true,
    authority: true,
    trustRoot: true,
  }).shape,
  ...certificateAnswerSchema.pick({ certificates: true, brokers: true }).shape,
  privateKey,
  notBeforeMs: z.int(),
  notAfterMs: z.int(),
});
export type DeviceIdentity = z.output<typeof deviceIdentitySchema>;

/** A key whose certificate was asked for and is not there yet: kept, so that the same is asked for again. */
export const pendingKeySchema = z.strictObject({
  type: z.literal('pending-key'),
  format,
  /** SHA-256 of the enrolment's secret, or which certificate it is to follow */
  purpose: z.string().max(128),
  privateKey,
  /** PKCS#10, DER */
  request: base64.max(8_192),
});
export type PendingKey = z.output<typeof pendingKeySchema>;
