import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ControlSocket } from '#adapters/control/control-socket.ts';
import { type CommandAnswer, type LocalCommand, resultOf } from '#core/sync/command.ts';
import { kazasu, refusal, refusalDocument } from './kazasu.ts';

let folder = '';
let path = '';
let channel: ControlSocket;
let answer: CommandAnswer;
const given: LocalCommand[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-operator-'));
  path = join(folder, 'control.sock');
  given.length = 0;
  answer = { outcome: 'done' };
  channel = new ControlSocket({ path, log: pino({ level: 'silent' }) });
  await channel.start(async (command) => {
    given.push(command);
    return resultOf(command.id, answer);
  });
});
afterEach(async () => {
  await channel.stop();
  rmSync(folder, { recursive: true });
});

const told = (...words: readonly string[]) => [...words, '--reason', '来客のため', '--socket', path];

describe('a command line', () => {
  it.each([
    [['door', 'unlock', 'front'], { kind: 'unlock-once', door: 'front' }],
    [
      ['door', 'unlock', 'lift', '--for', '20 s', '--floor', '1', '--floor', '2'],
      { kind: 'unlock-once', door: 'lift', seconds: 20, floors: ['1', '2'] },
    ],
    [['door', 'hold', 'front', '--for', '2 h'], { kind: 'hold', door: 'front', seconds: 7_200 }],
    [
      ['door', 'hold', 'front', '--until', '2026-04-01T18:00+09:00'],
      { kind: 'hold', door: 'front', untilMs: Date.UTC(2026, 3, 1, 9) },
    ],
    [['door', 'resume', 'front'], { kind: 'resume', door: 'front' }],
    [['condition', 'begin', 'lockdown'], { kind: 'lockdown' }],
    [
      ['condition', 'begin', 'evacuation', '--zone', 'lab', '--zone', 'hall'],
      { kind: 'evacuation', zones: ['lab', 'hall'] },
    ],
    [['condition', 'end', 'fire'], { kind: 'end-fire' }],
    [['condition', 'end', 'lockdown', '--zone', 'lab'], { kind: 'end-lockdown', zones: ['lab'] }],
    [['condition', 'threat', '3'], { kind: 'threat-level', level: 3 }],
    [['zone', 'reset', 'hall'], { kind: 'reset-zone', zone: 'hall' }],
    [['zone', 'roll-call', 'hall'], { kind: 'roll-call', zone: 'hall' }],
    [['holder', 'reset-position', '10234'], { kind: 'reset-position', holder: '10234' }],
    [
      ['holder', 'attendance', '10234', 'work', 'in', '--at', '2026-04-01T08:30+09:00'],
      {
        kind: 'correct-attendance',
        holder: '10234',
        service: 'work',
        is: 'in',
        atMs: Date.UTC(2026, 2, 31, 23, 30),
      },
    ],
    [['terminal', 'identify', '--reader', 'r1'], { kind: 'identify', reader: 'r1', seconds: 30 }],
    [
      ['terminal', 'identify', '--door', 'front', '--for', '1 min'],
      { kind: 'identify', door: 'front', seconds: 60 },
    ],
    [['terminal', 'restart'], { kind: 'restart' }],
  ])('%o is the command it says, by whom and why', async (words, action) => {
    const { code, out, err } = await kazasu(...told(...words));
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/[\u3040-\u30ff\u4e00-\u9fff]/);
    expect(given).toEqual([
      {
        format: 1,
        id: expect.stringMatching(/^[0-9a-f]{32}$/),
        issuedBy: expect.stringContaining(userInfo().username),
        reason: '来客のため',
        action,
      },
    ]);
  });

  it('has another id each time', async () => {
    await kazasu(...told('door', 'resume', 'front'));
    await kazasu(...told('door', 'resume', 'front'));
    expect(given[0]?.id).not.toBe(given[1]?.id);
  });
});

describe('the answer', () => {
  it('of a terminal that did not do it is told, with the names there are, by exit code 2', async () => {
    answer = { outcome: 'unknown-door', known: ['front', 'back'] };
    const words = told('door', 'unlock', 'frnt');
    expect(await kazasu(...words, '--language', 'en')).toEqual({
      code: 2,
      out: '',
      err: 'kazasu: command-refused: Unlock once: There is no such door (front, back)\n',
    });
    const { code, out } = await kazasu(...words, '--json');
    expect(code).toBe(2);
    expect(JSON.parse(out).error).toMatchObject({
      fault: 'command-refused',
      outcome: 'unknown-door',
      known: ['front', 'back'],
    });
  });

  it('to a roll call lists who is where', async () => {
    const sinceMs = Date.UTC(2026, 3, 1);
    answer = { outcome: 'done', rollCall: [{ zone: 'hall', holders: [{ holder: '10234', sinceMs }] }] };
    const { out } = await kazasu(...told('zone', 'roll-call'));
    expect(out).toBe('hall: 1\n  10234  2026-04-01 09:00:00\n');
    answer = { outcome: 'done', rollCall: [] };
    expect((await kazasu(...told('zone', 'roll-call', '--language', 'en'))).out).toBe(
      'Nobody is known to be inside\n',
    );
  });

  it('is one document under --json', async () => {
    const { code, out } = await kazasu(...told('condition', 'begin', 'lockdown'), '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({ id: given[0]?.id, outcome: 'done' });
  });
});

describe('what is wrong', () => {
  it.each([
    [['door', 'unlock', 'front', '--socket', 'x'], /^kazasu: argument-invalid: .*--reason/],
    [told('door', 'hold', 'front'), /^kazasu: argument-invalid: say how long/],
    [told('door', 'hold', 'front', '--for', '5'), /^kazasu: argument-invalid: .*write it as "20 s"/],
    [
      told('door', 'hold', 'front', '--for', '1 h', '--until', '2026-04-01T18:00Z'),
      /^kazasu: argument-invalid: .*cannot be used with/,
    ],
    [told('door', 'hold', 'front', '--until', '2026-04-01 18:00'), /^kazasu: argument-invalid: .*\+09:00/],
    [told('door', 'hold', 'front', '--for', '8 d'), /^kazasu: argument-invalid: seconds: /],
    [told('door', 'unlock', '../front'), /^kazasu: argument-invalid: door: must be 1 to 64 letters/],
    [told('condition', 'begin', 'fire'), /^kazasu: argument-invalid: .*lockdown, evacuation/],
    [told('condition', 'threat', '10'), /^kazasu: argument-invalid: .*0 to 9/],
    [told('terminal', 'identify'), /^kazasu: argument-invalid: say which/],
    [told('zone', 'roll-call', '--time-zone', 'Mars'), /^kazasu: argument-invalid: "Mars" is no time zone/],
    [told('holder', 'reset-position', '123456789018'), /^kazasu: argument-invalid: holder: .*Individual/],
  ])('%o is told in one line, and no terminal hears of it', async (words, message) => {
    expect(await refusal(...words)).toMatch(message);
    expect(given).toEqual([]);
  });

  it('no terminal that listens', async () => {
    await channel.stop();
    expect(await refusal(...told('door', 'unlock', 'front'))).toMatch(
      /^kazasu: terminal-absent: no terminal listens at .*control\.sock; is it running\?\n$/,
    );
    expect(await refusalDocument(...told('terminal', 'restart'))).toMatchObject({ fault: 'terminal-absent' });
  });

  it('where the service listens is where it is looked for, in a folder that gives its group to the socket', async () => {
    const socket = '/run/kazasu/control.sock';
    const { out } = await kazasu('door', 'unlock', '--help');
    expect(out).toContain(`"${socket}"`);
    const text = (file: string) => readFileSync(join(import.meta.dirname, '../../systemd', file), 'utf8');
    expect(text('kazasu-terminal.service')).toContain(
      `terminal run --config /etc/kazasu/terminal.yaml --control ${socket}`,
    );
    expect(text('kazasu-terminal.service')).toContain('ReadWritePaths=-/run/kazasu\n');
    expect(text('tmpfiles.d/kazasu.conf')).toContain('d /run/kazasu 2750 kazasu kazasu-operator\n');
    expect(text('sysusers.d/kazasu.conf')).toContain('g kazasu-operator -\n');
  });

  it('a socket that is for others', async () => {
    chmodSync(path, 0o000);
    expect(await refusal(...told('door', 'unlock', 'front'))).toMatch(
      /^kazasu: file-unreadable: no permission for .*kazasu-operator/,
    );
  });
});
