import { expect, it } from 'vitest';
import { type GroupReport, groupReportBytes, readGroupReport } from '#core/sync/group-message.ts';

const change = { key: 'at', holder: 'sato', value: { zone: null }, n: 1, atMs: 1, heard: 0 };
const report: Omit<GroupReport, 'type' | 'format'> = { incarnation: 'first', ask: 1, changes: [change] };

it('a report of a terminal is read as it was written, with names that every database holds', () => {
  expect(readGroupReport(groupReportBytes(report))).toEqual({ type: 'group-report', format: 1, ...report });
  for (const bad of ['', '\0', 'a\0', '\ud800', 'a'.repeat(257)]) {
    const heard = { server: bad, scope: 's', number: 1 };
    for (const wrong of [
      { ...report, incarnation: bad },
      { ...report, heard },
      { ...report, changes: [{ ...change, key: bad }] },
      { ...report, changes: [{ ...change, holder: bad }] },
    ])
      expect(readGroupReport(groupReportBytes(wrong))).toBeUndefined();
  }
});
