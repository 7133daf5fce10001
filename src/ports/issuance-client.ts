import type { DeviceIdentity } from '#core/sync/device-identity.ts';
import type {
  CertificateAnswer,
  EnrolmentFile,
  EnrolmentRequest,
  RenewalRequest,
} from '#core/sync/enrolment.ts';

/** What the server said. It was asked over TLS, and is who the authority says. */
export type IssuanceReply =
  | { readonly kind: 'answered'; readonly answer: CertificateAnswer }
  | { readonly kind: 'refused' };

/** Asks the server over HTTPS. Rejects with `server-unreachable` or `server-untrusted`. */
export interface IssuanceClient {
  enrol(file: EnrolmentFile, request: EnrolmentRequest): Promise<IssuanceReply>;
  /** Shows the certificate of `identity`. */
  renew(identity: DeviceIdentity, request: RenewalRequest): Promise<IssuanceReply>;
}
