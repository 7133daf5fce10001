import type { Change } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';

/** By whom a token acts, and what stands behind tokens that were made with it. */
export function tokenActor(tokenId: string): string {
  return `token:${tokenId}`;
}

/**
 * Revokes, inside a change, all tokens that `maker` has made, those that were made with these, and so on: who must do
 * nothing any more may have provided for that. Resolves to the ids of those that were good until now.
 */
export async function revokeTokensOf(
  { db, atMs }: Change<PermissionsTables>,
  maker: string,
): Promise<readonly string[]> {
  const tokens = await db.selectFrom('api_tokens').select(['token_id', 'made_by', 'revoked_at_ms']).execute();
  const madeBy = Map.groupBy(tokens, (token) => token.made_by);
  const revoked: string[] = [];
  for (const makers = [maker]; makers.length > 0; ) {
    for (const token of madeBy.get(makers.pop() ?? '') ?? []) {
      makers.push(tokenActor(token.token_id));
      if (token.revoked_at_ms === null) revoked.push(token.token_id);
    }
  }
  for (const id of revoked) {
    await db.updateTable('api_tokens').set({ revoked_at_ms: atMs }).where('token_id', '=', id).execute();
  }
  return revoked.toSorted();
}
