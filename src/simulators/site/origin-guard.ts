import type { IncomingHttpHeaders } from 'node:http';

/** Names under which a browser on this machine reaches the site. */
const localNames = ['127.0.0.1', 'localhost', '[::1]'];

/**
 * Whether a request comes from the site's own page. Checking `Host` defeats DNS rebinding (a foreign name that
 * resolves to 127.0.0.1); checking `Origin` and `Sec-Fetch-Site` defeats requests sent by foreign pages.
 */
export function isLocalRequest(headers: IncomingHttpHeaders, port: number): boolean {
  // a browser leaves the port of plain HTTP out
  const hosts = localNames.map((name) => (port === 80 ? name : `${name}:${port}`));
  if (!headers.host || !hosts.includes(headers.host)) return false;
  const fetchSite = headers['sec-fetch-site'];
  if (fetchSite === 'cross-site' || fetchSite === 'same-site') return false;
  return headers.origin === undefined || headers.origin === `http://${headers.host}`;
}

/** Sent with every answer, pages and events alike. */
export const securityHeaders: Readonly<Record<string, string>> = {
  // react-aria sets element styles; scripts and everything else come from this server's files alone
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};
