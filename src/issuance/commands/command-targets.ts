import type { Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';

/** Which terminals are meant; a site stands for its terminals, `all` for every one the caller reaches. */
export interface CommandTargets {
  readonly terminals?: readonly string[] | undefined;
  readonly sites?: readonly string[] | undefined;
  readonly all?: boolean | undefined;
}

export type TargetRefusal = { readonly kind: 'not-there' } | { readonly kind: 'out-of-reach' };

/** The terminals meant, or why they may not be told; `reached` are those the caller may command, undefined: any. */
export async function terminalsMeant(
  { terminals = [], sites = [], all = false }: CommandTargets,
  by: {
    readonly ledger: Ledger<PermissionsTables>;
    readonly nowMs: number;
    readonly reached: ReadonlySet<string> | undefined;
  },
): Promise<string[] | TargetRefusal> {
  const { ledger, nowMs, reached } = by;
  const { db } = ledger;
  const known = await db.selectFrom('terminals').select('terminal_id').execute();
  const there = new Set(known.map((row) => row.terminal_id));
  if (terminals.some((terminal) => !there.has(terminal))) return { kind: 'not-there' };
  const meant = new Set(terminals);
  if (sites.length > 0) {
    const rows = await db
      .selectFrom('sites')
      .selectAll()
      .where('site_id', 'in', [...sites])
      .execute();
    if (rows.length < new Set(sites).size) return { kind: 'not-there' };
    for (const row of rows) for (const terminal of JSON.parse(row.terminals) as string[]) meant.add(terminal);
  }
  if (reached && [...meant].some((terminal) => !reached.has(terminal))) return { kind: 'out-of-reach' };
  if (all) {
    for (const terminal of await enrolledTerminals(ledger, nowMs))
      if (!reached || reached.has(terminal)) meant.add(terminal);
  }
  const told = [...meant].filter((terminal) => there.has(terminal)).toSorted();
  return told.length === 0 ? { kind: 'not-there' } : told;
}

/** Terminals that have a certificate that is good. */
async function enrolledTerminals(
  { db }: Ledger<PermissionsTables>,
  nowMs: number,
): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('certificates')
    .select('terminal_id')
    .distinct()
    .where('revoked_at_ms', 'is', null)
    .where('not_after_ms', '>', nowMs)
    .execute();
  return rows.map((row) => row.terminal_id);
}
