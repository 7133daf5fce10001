import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import type { PolicyLookup, PolicyQuery } from '#ports/policy-lookup.ts';
import { nowUs } from './figures.ts';

/**
 * Suspends holders and admits them again, each by an import of one line in a process of its own as the command does
 * it, and gives the microseconds from the order until a look-up sees it: look-ups go on meanwhile, one a millisecond.
 */
export async function measureSingleChanges(
  store: PolicyLookup,
  { directory, queries }: { readonly directory: string; readonly queries: readonly PolicyQuery[] },
): Promise<readonly number[]> {
  const child = fork(new URL('./single-change-data.ts', import.meta.url), [directory], { execArgv: [] });
  const lost = once(child, 'exit').then(([code]) => {
    throw new Error(`the process of the imports ended with code ${code}`);
  });
  await Promise.race([once(child, 'message'), lost]);
  const samples: number[] = [];
  const change = async (query: PolicyQuery, word: string, status: string): Promise<void> => {
    const imported = Promise.race([once(child, 'message'), lost]);
    const start = nowUs();
    child.send(`${query.userNumber},${query.diversifier},${word}`);
    const seen = async () => (await store.lookUp(query)).slice.holder?.status === status;
    // without a pause the look-ups alone would keep both of two cores busy
    while (!(await Promise.race([seen(), lost]))) await setTimeout(1);
    samples.push(nowUs() - start);
    await imported;
  };
  for (const query of queries) {
    await change(query, '停止', 'suspended');
    await change(query, '有効', 'active');
  }
  lost.catch(() => undefined);
  child.disconnect();
  return samples;
}
