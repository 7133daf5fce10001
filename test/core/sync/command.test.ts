import { describe, expect, it } from 'vitest';
import {
  type Command,
  type CommandAction,
  commandAt,
  commandOutcomes,
  commandResultSchema,
  commandSchema,
  localCommandSchema,
  resultOf,
} from '#core/sync/command.ts';
import { commandEntryTexts, commandKindText, commandOutcomeText } from '#core/texts/commands.ts';

const given = {
  format: 1,
  id: 'c'.repeat(32),
  issuedBy: '警備 一郎',
  reason: '来客のため',
  action: { kind: 'unlock-once', door: 'front' } as CommandAction,
} as const;
const command: Command = { ...given, terminal: 'entrance', issuedAtMs: 1_000, expiresAtMs: 61_000 };
const accepts = (changes: object) => commandSchema.safeParse({ ...command, ...changes }).success;

describe('a command', () => {
  it('is read as it was written', () => {
    expect(commandSchema.parse(JSON.parse(JSON.stringify(command)))).toEqual(command);
  });

  it.each([
    ['an id that is none', { id: 'c'.repeat(31) }],
    ['an id in upper case, which would be another', { id: 'C'.repeat(32) }],
    ['no reason', { reason: '' }],
    ['a reason of blanks', { reason: '   ' }],
    ['two lines', { reason: 'a\nb' }],
    ['what moves the cursor', { issuedBy: '\u001b[2J' }],
    ['what turns the direction of writing', { reason: 'a\u202Eb' }],
    ['too many words', { reason: 'x'.repeat(501) }],
    ['an end before its beginning', { expiresAtMs: 1_000 }],
    ['more than a day', { expiresAtMs: 1_001 + 86_400_000 }],
    ['another format', { format: 2 }],
    ['an unknown member', { urgent: true }],
    ['an unknown action', { action: { kind: 'open-sesame' } }],
    ['a door that is no name', { action: { kind: 'resume', door: '../front' } }],
    ['a hold without an end', { action: { kind: 'hold', door: 'front' } }],
    ['a hold with two ends', { action: { kind: 'hold', door: 'front', seconds: 1, untilMs: 5 } }],
    ['a hold of more than a week', { action: { kind: 'hold', door: 'front', seconds: 604_801 } }],
    ['identifying nothing', { action: { kind: 'identify', seconds: 5 } }],
    ['zones that are none', { action: { kind: 'lockdown', zones: [] } }],
    ['a threat level beyond the highest', { action: { kind: 'threat-level', level: 10 } }],
    [
      'a holder that looks like an Individual Number',
      { action: { kind: 'reset-position', holder: '123456789018' } },
    ],
  ])('with %s is refused', (_, changes) => {
    expect(accepts(changes)).toBe(false);
  });

  it('given on the device says neither for which terminal nor until when', () => {
    const local = localCommandSchema.parse(given);
    const full = commandAt('entrance', 5_000, local);
    expect(commandSchema.parse(full)).toMatchObject({ terminal: 'entrance', issuedAtMs: 5_000 });
    expect(localCommandSchema.safeParse(command).success).toBe(false);
  });
});

describe('a result', () => {
  it.each(commandOutcomes)('%s has words in both languages, and is read as it was written', (outcome) => {
    expect(commandOutcomeText(outcome, 'ja')).toMatch(/[\u3040-\u30ff\u4e00-\u9fff]/);
    expect(commandOutcomeText(outcome, 'en')).toMatch(/^[A-Z]/);
    const result = resultOf(command.id, { outcome });
    expect(commandResultSchema.parse(JSON.parse(JSON.stringify(result)))).toEqual(result);
  });

  it('names the command in both languages', () => {
    expect(commandKindText('roll-call', 'ja')).toBe('点呼');
    expect(commandKindText('roll-call', 'en')).toBe('Roll call');
    const entry = { command: 'roll-call', outcome: 'done' };
    expect(commandEntryTexts(entry, 'en')).toEqual(['Roll call', 'Done']);
    expect(commandEntryTexts({ command: 'toString', outcome: 'accepted' }, 'en')).toEqual([]);
  });
});
