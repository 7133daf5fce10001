import { describe, expect, it } from 'vitest';
import { correctAttendance, type Punch } from '#core/access/attendance-stays.ts';

const minuteMs = 60_000;

/**
 * `in 480`: the way and the minute. Marks: `~` by turns, `=` the terminal took it for the same, `!` of a command, `@` of one
 * that names its moment, `?` an untrusted clock, `/b` of the boot b.
 */
function punchOf(text: string, index: number): Punch {
  const [, marks = '', way = '', minute = '', boot = 'a'] =
    /^([~=!@?]*)(in|out) (\d+)(?:\/(\w+))?$/.exec(text) ?? [];
  const command = /[!@]/.test(marks);
  return {
    sequence: index + 1,
    atMs: Number(minute) * minuteMs,
    trusted: !marks.includes('?'),
    bootId: boot,
    result: way === 'in' ? 'in' : 'out',
    by: command ? 'command' : marks.includes('~') ? 'turns' : 'reader',
    ...(marks.includes('@') && { corrects: true }),
    ...(marks.includes('=') && { double: true }),
  };
}

/** `480-1020 (481)`: a stay in minutes, with the doubles of it. */
function stays(...texts: readonly string[]): readonly string[] {
  const minute = (punch: Punch | undefined) => (punch ? String(punch.atMs / minuteMs) : '');
  return correctAttendance(texts.map(punchOf), 5 * minuteMs).map((stay) => {
    const doubles = [stay.in, stay.out].flatMap((one) => one?.doubles.map(minute) ?? []);
    return `${minute(stay.in)}-${minute(stay.out)}${doubles.length === 0 ? '' : ` (${doubles.join(' ')})`}`;
  });
}

describe('stays of coming and going', () => {
  it.each([
    ['nothing', [], []],
    ['a day', ['in 0', 'out 480'], ['0-480']],
    ['over midnight', ['~in 1320', '~out 1800'], ['1320-1800']],
    ['a forgotten going', ['in 0', 'in 600', 'out 700'], ['0-', '600-700']],
    ['a forgotten coming', ['out 5', 'in 10', 'out 20', 'out 400'], ['-5', '10-20', '-400']],
  ])('%s', (_, punches, expected) => {
    expect(stays(...punches)).toEqual(expected);
  });

  it.each([
    ['that the terminal told', ['~in 0', '=~in 3', '~out 480', '=out 482'], ['0-480 (3 482)']],
    ['of which nothing came before', ['=~in 3', '~out 480'], ['3-480']],
    [
      'at a reader that asks, after a reboot',
      ['in 0', 'in 5/b', 'out 480/b', 'out 486/c'],
      ['0-480 (5)', '-486'],
    ],
    [
      'by turns after a reboot, and all that came of it',
      ['~in 0', '~out 2/b', '=~out 4/b', '~in 480/b', '~out 1440/b', '~in 1900/b'],
      ['0-480 (2 4)', '1440-1900'],
    ],
    ['until a reader asks', ['~in 0', '~out 2/b', 'out 480/b', '~in 1440/b'], ['0-480 (2)', '1440-']],
    ['until a command', ['~in 0', '~out 2/b', '!in 300/b', '~out 480/b'], ['0- (2)', '300-480']],
    ['no double: later than that', ['~in 0', '~out 6/b'], ['0-6']],
    ['no double: a reader that asks for the other', ['~in 0', '~out 2/b', '=out 4/b'], ['0-4 (2)']],
    ['no double: a clock that may have stood still', ['~in 0', '?~out 2/b'], ['0-2']],
  ])('a double: %s', (_, punches, expected) => {
    expect(stays(...punches)).toEqual(expected);
  });

  it.each([
    ['adds what nobody recorded', ['in 0', 'in 1440', '@out 480'], ['0-480', '1440-']],
    [
      'takes the place of what was told wrongly in that minute',
      ['~in 0', '~out 1440', '@out 480', '@in 1440', '~out 1900'],
      ['0-480', '1440-1900'],
    ],
    ['is itself replaced by a later one', ['in 0', '@in 480', '@out 480'], ['0-480']],
    ['about now is one more', ['~in 0', '!out 480', '~in 1440'], ['0-480', '1440-']],
  ])('a command %s', (_, punches, expected) => {
    expect(stays(...punches)).toEqual(expected);
  });

  it('a clock that ran ahead puts nothing after what was surely recorded later', () => {
    expect(stays('?~in 9000', '~out 480', '~in 1440', '?~out 1441')).toEqual(['9000-480', '1440-1441']);
  });
});
