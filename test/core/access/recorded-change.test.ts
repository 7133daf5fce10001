import { expect, it } from 'vitest';
import { recordedDeclaration } from '#core/access/recorded-change.ts';
import type { JournalEntry } from '#core/journal/entry.ts';
import type { JsonValue } from '#core/journal/record.ts';

const head = {
  format: 1,
  terminal: 'gate',
  incarnation: 'i',
  sequence: 1,
  previous: '',
  bootId: 'b',
} as const;

it('the end of a condition that was signed anew counts as of when it was given, also when it is decided again', () => {
  const facts = new Map<string, JsonValue>();
  const shared = (key: string) => facts.get(key);
  const done = (command: string, times: { readonly [name: string]: JsonValue }) => {
    const body = { command, via: 'issuance', outcome: 'done', ...times };
    const at = { atMs: 9_000, monotonicUs: 0, clock: 'trusted' } as const;
    const entry: JournalEntry = { ...head, ...at, kind: 'command', body, personal: {} };
    for (const { key, value } of recordedDeclaration(entry)?.({ shared }) ?? []) {
      if (value === undefined) facts.delete(key);
      else facts.set(key, value);
    }
  };
  done('lockdown', { issuedAtMs: 1_000 });
  done('lockdown', { issuedAtMs: 3_000, zones: ['hall'] });
  done('end-lockdown', { issuedAtMs: 8_000, givenAtMs: 2_000 });
  expect(facts.get('site/lockdown')).toEqual({ zones: ['hall'] });
  done('end-lockdown', { issuedAtMs: 8_000, givenAtMs: 4_000 });
  expect(facts.get('site/lockdown')).toBeUndefined();
});
