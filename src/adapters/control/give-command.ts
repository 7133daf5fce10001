import { createConnection } from 'node:net';
import { Fault } from '#core/fault.ts';
import type { CommandResult, LocalCommand } from '#core/sync/command.ts';
import { answerLimitBytes, commandLine, readAnswer } from './control-line.ts';

/** Gives `command` to the terminal that listens at `path`. Rejects with a Fault where none could be asked, or refused to. */
export async function giveCommand(
  path: string,
  command: LocalCommand,
  withinMs: number,
): Promise<CommandResult> {
  return readAnswer(await ask(path, commandLine(command), withinMs));
}

function ask(path: string, line: string, withinMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let length = 0;
    const socket = createConnection(path);
    const fail = (fault: Fault): void => {
      socket.destroy();
      reject(fault);
    };
    socket.setTimeout(withinMs, () =>
      fail(
        new Fault(
          'deadline-exceeded',
          'the terminal did not answer in time; look whether it did the command',
        ),
      ),
    );
    socket.on('error', (error: NodeJS.ErrnoException) => fail(unreachable(path, error)));
    socket.on('connect', () => socket.write(line));
    socket.on('data', (piece: Buffer) => {
      length += piece.length;
      if (length > answerLimitBytes) fail(new Fault('argument-invalid', 'what listens there is no terminal'));
      else pieces.push(piece);
    });
    socket.on('end', () => {
      const text = Buffer.concat(pieces).toString();
      if (text.endsWith('\n')) resolve(text);
      else
        fail(
          new Fault(
            'terminal-absent',
            'the terminal ended before it answered; look whether it did the command',
          ),
        );
      socket.end();
    });
  });
}

function unreachable(path: string, error: NodeJS.ErrnoException): Fault {
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new Fault('terminal-absent', `no terminal listens at ${path}; is it running?`, { cause: error });
    case 'EAGAIN':
      return new Fault('command-refused', 'too many commands are being given at once; try again');
    case 'EACCES':
    case 'EPERM':
      return new Fault(
        'file-unreadable',
        `no permission for ${path}: commands are for members of the group kazasu-operator, and for root`,
        { cause: error },
      );
    default:
      return new Fault('terminal-absent', `the connection to ${path} broke (${error.code})`, {
        cause: error,
      });
  }
}
