import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ControlSocket, type ControlSocketParts } from '#adapters/control/control-socket.ts';
import { giveCommand } from '#adapters/control/give-command.ts';
import { type CommandResult, type LocalCommand, localCommandSchema, resultOf } from '#core/sync/command.ts';

const log = pino({ level: 'silent' });
const command: LocalCommand = localCommandSchema.parse({
  format: 1,
  id: 'a'.repeat(32),
  issuedBy: '警備',
  reason: '来客のため',
  action: { kind: 'unlock-once', door: 'front' },
});

let folder = '';
let path = '';
const channels: ControlSocket[] = [];
const obeyed: LocalCommand[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-control-'));
  path = join(folder, 'control.sock');
  obeyed.length = 0;
});
afterEach(async () => {
  for (const channel of channels.splice(0)) await channel.stop();
  rmSync(folder, { recursive: true });
});

async function done({ id }: LocalCommand): Promise<CommandResult> {
  return resultOf(id, { outcome: 'done' });
}
async function begin(
  parts: Partial<ControlSocketParts> = {},
  obey: (command: LocalCommand) => Promise<CommandResult> = done,
): Promise<ControlSocket> {
  const channel = new ControlSocket({ path, log, ...parts });
  channels.push(channel);
  await channel.start((given) => {
    obeyed.push(given);
    return obey(given);
  });
  return channel;
}
/** What the terminal answers to these bytes, until it hangs up. */
function say(bytes: string | Uint8Array, finish = false): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path, allowHalfOpen: true });
    let text = '';
    socket.on('data', (piece) => {
      text += String(piece);
    });
    socket.on('end', () => {
      socket.destroy();
      resolve(text);
    });
    socket.on('error', reject);
    if (finish) socket.end(bytes);
    else socket.write(bytes);
  });
}
const faultOf = async (answer: Promise<string>): Promise<string> => JSON.parse(await answer).error.fault;
function silent(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}

describe('a command given at the socket', () => {
  it('arrives as it was given, and its answer comes back', async () => {
    await begin();
    expect(await giveCommand(path, command, 5_000)).toEqual({
      format: 1,
      id: command.id,
      outcome: 'done',
    });
    expect(obeyed).toEqual([command]);
  });

  it('arrives also in pieces, and when its giver has nothing more to say', async () => {
    await begin();
    const bytes = Buffer.from(`${JSON.stringify(command)}\n`);
    const socket = createConnection({ path, allowHalfOpen: true });
    const answer = new Promise<string>((resolve) => {
      socket.on('data', (piece) => resolve(String(piece)));
    });
    for (const byte of bytes) socket.write(Uint8Array.of(byte));
    socket.end();
    expect(JSON.parse(await answer)).toMatchObject({ outcome: 'done' });
    socket.destroy();
  });

  it('has an answer that may be long', async () => {
    const holders = Array.from({ length: 50_000 }, (_, n) => ({ holder: `holder-${n}`, sinceMs: n }));
    await begin({}, async ({ id }) =>
      resultOf(id, { outcome: 'done', rollCall: [{ zone: 'hall', holders }] }),
    );
    const { rollCall } = await giveCommand(path, command, 20_000);
    expect(rollCall?.[0]?.holders).toHaveLength(50_000);
  });

  it('of a giver who has gone is obeyed all the same', async () => {
    let obey = (): void => undefined;
    const taken = new Promise<void>((resolve) => {
      obey = resolve;
    });
    await begin({}, async (given) => {
      obey();
      return done(given);
    });
    const socket = await silent();
    socket.write(`${JSON.stringify(command)}\n`);
    await taken;
    socket.destroy();
    expect(await giveCommand(path, command, 5_000)).toMatchObject({ outcome: 'done' });
  });
});

describe('what is no command', () => {
  it.each([
    ['no JSON', 'open the door\n'],
    ['no UTF-8', Uint8Array.of(0x22, 0xff, 0xfe, 0x22, 0x0a)],
    ['a blank line', '\n'],
    ['no object', '[]\n'],
    ['a command without a reason', `${JSON.stringify({ ...command, reason: '' })}\n`],
    ['an unknown action', `${JSON.stringify({ ...command, action: { kind: 'explode' } })}\n`],
    ['an action for a terminal of one’s choice', `${JSON.stringify({ ...command, terminal: 'lobby' })}\n`],
    ['a line that is too long', `"${'x'.repeat(20_000)}"\n`],
    ['too much without a line', 'x'.repeat(200_000)],
  ])('%s is refused', async (_, bytes) => {
    await begin();
    expect(await faultOf(say(bytes))).toBe('argument-invalid');
    expect(obeyed).toEqual([]);
  });

  it('is not waited for any longer than a command takes to say', async () => {
    await begin({ sayWithinMs: 20 });
    expect(await faultOf(say('{"format":1,'))).toBe('deadline-exceeded');
  });

  it('from whoever hangs up in the middle is forgotten', async () => {
    await begin();
    expect(await say('{"format":1', true)).toBe('');
    expect(obeyed).toEqual([]);
  });

  it('behind a command is not read', async () => {
    await begin();
    const line = `${JSON.stringify(command)}\n`;
    expect((await say(line + line)).trim().split('\n')).toHaveLength(1);
    expect(obeyed).toHaveLength(1);
  });
});

describe('the socket', () => {
  it('is for its owner and its group', async () => {
    await begin();
    expect(statSync(path).mode & 0o777).toBe(0o660);
  });

  it.runIf(process.getuid?.() === 0)('belongs to the group of its folder', async () => {
    chownSync(folder, 0, 65_534);
    chmodSync(folder, 0o2750);
    await begin();
    expect(statSync(path).gid).toBe(statSync(folder).gid);
    expect(statSync(path).gid).not.toBe(process.getgid?.());
  });

  it('takes the place of one that a dead terminal left, not of one that is listened at', async () => {
    writeFileSync(path, '');
    await begin();
    await expect(begin()).rejects.toMatchObject({ code: 'argument-invalid' });
    expect(await giveCommand(path, command, 5_000)).toMatchObject({ outcome: 'done' });
  });

  it('in a folder that is not there is a fault', async () => {
    path = join(folder, 'none/control.sock');
    await expect(begin()).rejects.toMatchObject({ code: 'file-unreadable' });
  });

  it('is gone when the terminal has stopped, with everybody at it', async () => {
    const channel = await begin();
    const socket = await silent();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await channel.stop();
    await closed;
    expect(existsSync(path)).toBe(false);
    await expect(giveCommand(path, command, 5_000)).rejects.toMatchObject({ code: 'terminal-absent' });
  });

  it('tells whoever waits too long that nobody knows', async () => {
    let obey: (result: CommandResult) => void = () => undefined;
    const later = new Promise<CommandResult>((resolve) => {
      obey = resolve;
    });
    await begin({ answerWithinMs: 20 }, () => later);
    await expect(giveCommand(path, command, 5_000)).rejects.toMatchObject({ code: 'deadline-exceeded' });
    obey(resultOf(command.id, { outcome: 'done' }));
  });

  it('turns away whoever comes while as many speak as may, and serves again once they have left', async () => {
    await begin({ connections: 2 });
    const speaking = [await silent(), await silent()];
    await expect(giveCommand(path, command, 5_000)).rejects.toMatchObject({ code: 'command-refused' });
    for (const socket of speaking) await new Promise((resolve) => socket.once('close', resolve).destroy());
    await expect
      .poll(() => giveCommand(path, command, 5_000).then(({ outcome }) => outcome, String))
      .toBe('done');
  });

  it('stands a thousand connections at once: each is served, told to try again, or cut off', async () => {
    await begin();
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, () =>
        giveCommand(path, command, 20_000).then(
          ({ outcome }) => outcome,
          ({ code }: { code: string }) => code,
        ),
      ),
    );
    expect(answers.filter((answer) => answer === 'done')).toHaveLength(obeyed.length);
    expect(obeyed.length).toBeGreaterThan(0);
    const all = ['done', 'command-refused', 'terminal-absent'];
    expect(answers.filter((answer) => !all.includes(answer))).toEqual([]);
    await expect
      .poll(() => giveCommand(path, command, 5_000).then(({ outcome }) => outcome, String))
      .toBe('done');
  });
});
