import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Fault, faultCodes, fromFaultRecord, isFault, toFaultRecord } from '#core/fault.ts';

describe('fault codes', () => {
  const page = readFileSync(resolve(import.meta.dirname, '../../docs/faults.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `([a-z-]+)` \| (.+?) \| (.+?) \| (.+?) \|$/gm)];

  it('are each documented once, with what to do, in both languages', () => {
    expect(rows.map((row) => row[1]).sort()).toEqual([...faultCodes].sort());
    for (const [, , meaning, remedy, japanese] of rows) {
      expect(meaning).toMatch(/\.$/);
      expect(remedy?.length).toBeGreaterThan(5);
      expect(japanese).toMatch(/[\u3040-\u30ff\u4e00-\u9fff]/);
    }
  });

  it('survive a process border', () => {
    const fault = fromFaultRecord(toFaultRecord(new Fault('card-removed', 'too early')));
    expect(isFault(fault, 'card-removed')).toBe(true);
    expect(isFault(fault, 'card-timeout')).toBe(false);
    expect(isFault(new Error('a bug'))).toBe(false);
  });
});
