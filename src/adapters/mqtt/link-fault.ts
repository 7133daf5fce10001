import { Fault, isFault } from '#core/fault.ts';

/**
 * What Node calls a certificate of the other side that cannot be believed; `UNSPECIFIED` are those of OpenSSL's reasons
 * that it has no name for, such as a name that its authority has no right to.
 */
const untrusted =
  /^(?:UNSPECIFIED$|CERT_|ERR_TLS_CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|HOSTNAME_MISMATCH)/;

/** Why a connection to a broker failed or ended, for whoever looks after it. */
export function linkFault(error: unknown, { host, port }: { host: string; port: number }): Fault {
  if (isFault(error)) return error;
  const code = codeOf(error);
  const broker = `the broker at ${host}, port ${port},`;
  if (typeof code === 'string' && untrusted.test(code)) {
    return new Fault('broker-untrusted', `${broker} shows a certificate that is not accepted (${code})`, {
      cause: error,
    });
  }
  // an alert is what the other side says; a return code of CONNACK is too (MQTT 3.1.1, 3.2.2.3), 3 being "unavailable"
  if (typeof code === 'number' ? code !== 3 : /ALERT/.test(code)) {
    return new Fault('broker-refused', `${broker} refuses this certificate or name (${code})`, {
      cause: error,
    });
  }
  const why = code === '' ? '' : ` (${code === 3 ? 'it takes no more' : code})`;
  return new Fault('broker-unreachable', `${broker} is not reached, or has ended the connection${why}`, {
    cause: error,
  });
}

function codeOf(error: unknown): string | number {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'number' ? error.code : String(error.code);
}
