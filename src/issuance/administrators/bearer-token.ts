import { createHash } from 'node:crypto';
import type { Entropy } from '#ports/entropy.ts';

/** Tells the two kinds apart, and a token from any other secret that a scanner finds in a file. */
const prefixes = { session: 'kzs_', 'api-token': 'kzt_' } as const;
export type TokenKind = keyof typeof prefixes;

/** A token of 256 random bits: what its bearer shows, and the hash of it, which alone is stored. */
export function makeToken(
  kind: TokenKind,
  entropy: Entropy,
): { readonly token: string; readonly hash: string } {
  const token = `${prefixes[kind]}${Buffer.from(entropy.bytes(32)).toString('base64url')}`;
  return { token, hash: hashOfToken(token) };
}

/** undefined for what is no token at all */
export function kindOfToken(token: string): TokenKind | undefined {
  if (!/^kz[st]_[A-Za-z0-9_-]{43}$/.test(token)) return undefined;
  return token.startsWith(prefixes.session) ? 'session' : 'api-token';
}

/** A token is as long as its hash, so that one round of SHA-256 is enough, unlike for a password. */
export function hashOfToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
