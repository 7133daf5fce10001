import { describe, expect, it } from 'vitest';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import { parseYaml } from '#core/config/yaml-document.ts';

const head = `
formatVersion: 1
organization: city
profiles: [{ id: type-a, userNumberFormat: { alphabet: digits, minimumLength: 8, maximumLength: 8 } }]
groups: [staff, guard]
`;
/** the sections of a site that uses every rule of people, zones and counting */
const whole = `
zones:
  - { id: yard, reentry: { after: 10 min, exempt: [guard] }, clearance: [{ fromLevel: 2, needs: 3 }] }
  - id: lab
    passback: { mode: hard, forgiveAfter: 12 h, forgiveAt: "04:00", exempt: [guard], scope: { group: gates, apart: deny } }
    occupancy: { limit: 20, scope: { group: gates, apart: share, share: 10 } }
terminalGroups: [{ id: gates, terminals: [gate-1, gate-2] }]
doors:
  - { id: back, escort: { of: [staff], by: [guard] } }
  - id: front
    twoPerson: { within: 20 s }
    reentry: { after: 1 min, scope: { group: gates, apart: grant } }
permissions: [{ group: staff, zone: lab }, { group: guard, door: front }]
lockdown: { exempt: [guard] }
evacuation: { exempt: [guard] }
master: { groups: [guard], freshFor: 24 h }
clearances: [{ group: guard, clearance: 3 }]
longerAccess: [staff]
lockOut: { holder: { after: 3 }, reader: {} }
duress: { digit: 9 }
services:
  - { id: work, kind: attendance }
  - { id: vote, kind: once, scope: { group: gates, apart: grant } }
  - { id: taxi, kind: uses, limit: 24, per: fiscal-year, scope: { group: gates, apart: share, share: 12 } }
  - { id: books, kind: loan, limit: 5 }
`;
const parse = (text: string) =>
  parseYaml(head + text, 'rules.yaml', siteRulesSchema, 'policy-import-refused');

describe('rules of people, zones and counting', () => {
  it('are read with their defaults', () => {
    const rules = parse(whole);
    expect(rules.doors[1]).toMatchObject({
      twoPerson: { within: 20_000 },
      reentry: { after: 60_000 },
    });
    expect(rules.doors[0]).toMatchObject({ escort: { within: 30_000 } });
    expect(rules.zones[1]?.passback).toMatchObject({ forgiveAfter: 43_200_000, forgiveAt: 240 });
    expect(rules.lockOut.holder).toEqual({
      after: 3,
      within: 600_000,
      first: 60_000,
      longest: 3_600_000,
      reasons: ['pin-wrong'],
    });
    expect(rules.lockOut.reader?.reasons).not.toContain('unknown-card');
    expect(rules.services[0]).toEqual({ id: 'work', kind: 'attendance', doubles: 300_000 });
    // stored as JSON and read back, the rules are the same
    expect(JSON.parse(JSON.stringify(rules))).toEqual(rules);
  });

  it.each([
    ['- { id: back,', '- { id: back, twoPerson: {},', /doors\.0\.escort: a door has either/],
    [
      'exempt: [guard] }, clearance',
      'exempt: [gard] }, clearance',
      /:\d+:.*"gard" is not listed under groups/,
    ],
    ['exempt: [guard], scope', 'exempt: [gard], scope', /"gard" is not listed under groups/],
    ['of: [staff]', 'of: [staf]', /"staf" is not listed under groups/],
    ['by: [guard]', 'by: [gard]', /"gard" is not listed under groups/],
    ['lockdown: { exempt: [guard]', 'lockdown: { exempt: [gard]', /"gard" is not listed under groups/],
    ['evacuation: { exempt: [guard]', 'evacuation: { exempt: [gard]', /"gard" is not listed under groups/],
    ['master: { groups: [guard]', 'master: { groups: [gard]', /"gard" is not listed under groups/],
    ['{ group: guard, clearance', '{ group: gard, clearance', /"gard" is not listed under groups/],
    ['longerAccess: [staff]', 'longerAccess: [staf]', /"staf" is not listed under groups/],
    ['zone: lab }', 'zone: lap }', /"lap" is not listed under zones/],
    ['zone: lab }', 'zone: lab, door: front }', /either a door or a zone/],
    ['{ group: staff, zone: lab }', '{ group: staff }', /either a door or a zone/],
    ['{ within: 20 s }', '{ within: 20 s, schedule: night }', /"night" is not listed under schedules/],
    ['group: gates, apart: deny', 'group: gate, apart: deny', /"gate" is not listed under terminalGroups/],
    [
      'group: gates, apart: grant } }\npermissions',
      'group: gate, apart: grant } }\npermissions',
      /terminalGroups/,
    ],
    ['share: 10', 'share: 11', /22 together, more than the limit of 20/],
    ['share: 12', 'share: 13', /26 together, more than the limit of 24/],
    ['kind: once, scope: { group: gates', 'kind: once, scope: { group: gate', /terminalGroups/],
    ['id: taxi', 'id: vote', /"vote" stands twice/],
    ['id: yard', 'id: lab', /"lab" stands twice/],
    ['digit: 9', 'digit: 10', /duress/],
    ['mode: hard', 'mode: harsh', /hard/],
    ['kind: loan, limit: 5', 'kind: lend, limit: 5', /kind/],
  ])('%s → %s is refused', (from, to, message) => {
    expect(whole).toContain(from);
    expect(() => parse(whole.replace(from, to))).toThrow(message);
  });
});
