import { isUntrustedPeer } from '#adapters/process/untrusted-peer.ts';
import { Fault, isFault } from '#core/fault.ts';

/** Why a connection to a broker failed or ended, for whoever looks after it. */
export function linkFault(error: unknown, { host, port }: { host: string; port: number }): Fault {
  if (isFault(error)) return error;
  const code = codeOf(error);
  const broker = `the broker at ${host}, port ${port},`;
  if (typeof code === 'string' && isUntrustedPeer(code)) {
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

/** Whether a broker said that it takes no more for now (MQTT 3.1.1, 3.2.2.3). */
export function isTooMuch(error: unknown): boolean {
  return codeOf(error) === 3;
}

function codeOf(error: unknown): string | number {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'number' ? error.code : String(error.code);
}
