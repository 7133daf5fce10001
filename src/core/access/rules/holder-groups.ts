import type { PolicySlice } from '#core/access/policy.ts';

/** The first of `groups` that the holder is in; undefined for none. */
export function groupAmong(slice: PolicySlice, groups: readonly string[] | undefined): string | undefined {
  return groups?.find((group) => slice.holder?.groups.includes(group));
}
