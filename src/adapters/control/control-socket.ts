import { chmodSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import type { Logger } from 'pino';
import { z } from 'zod';
import { Fault } from '#core/fault.ts';
import { type CommandResult, type LocalCommand, localCommandSchema } from '#core/sync/command.ts';
import type { ControlChannel } from '#ports/control-channel.ts';
import { commandLimitBytes, errorLine, resultLine } from './control-line.ts';

export interface ControlSocketParts {
  /** of the Unix socket; its folder decides to which group it belongs */
  readonly path: string;
  readonly log: Logger;
  /** how many may speak at once; whoever comes beyond that is told so */
  readonly connections?: number;
  /** how long somebody may take to say a command, in milliseconds */
  readonly sayWithinMs?: number;
  /** how long a command may take before its giver is told that nobody knows what comes of it, in milliseconds */
  readonly answerWithinMs?: number;
}

/** how many are told at once that they come in vain; beyond that a connection is cut, so that files to open remain */
const turnedAwayLimit = 64;
/** how long an answer may stay unread, and how long a connection stays after it was, in milliseconds */
const unreadAfterMs = 30_000;
const lingerMs = 500;

type Obey = (command: LocalCommand) => Promise<CommandResult>;

/**
 * Takes commands at a Unix socket, for its owner and its group (0660): the mode of the file is the gate, for Node does
 * not tell who is at the other end. Who gives a command is what the command says. One command a connection.
 */
export class ControlSocket implements ControlChannel {
  readonly #parts: Required<ControlSocketParts>;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  constructor(parts: ControlSocketParts) {
    this.#parts = { connections: 16, sayWithinMs: 5_000, answerWithinMs: 90_000, ...parts };
  }

  async start(obey: Obey): Promise<void> {
    const { path, log } = this.#parts;
    if (await isHeard(path)) throw new Fault('argument-invalid', `another terminal listens at ${path}`);
    rmSync(path, { force: true });
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#take(socket, obey));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        reject(new Fault('file-unreadable', `${path} cannot be made (${error.code})`, { cause: error })),
      );
      server.listen(path, resolve);
    });
    server.on('error', (error) => log.error({ err: error }, 'the control channel failed'));
    server.maxConnections = this.#parts.connections + turnedAwayLimit;
    this.#server = server;
    chmodSync(path, 0o660);
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    // ends the listening, and takes the file away
    if (server) await new Promise((resolve) => server.close(resolve));
  }

  #take(socket: Socket, obey: Obey): void {
    const { connections, sayWithinMs } = this.#parts;
    socket.on('error', () => socket.destroy());
    if (this.#sockets.size >= connections) {
      return end(
        socket,
        errorLine('command-refused', 'too many commands are being given at once; try again'),
      );
    }
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    const late = setTimeout(
      () => end(socket, errorLine('deadline-exceeded', 'no command came in time')),
      sayWithinMs,
    );
    socket.on('close', () => clearTimeout(late));
    const pieces: Buffer[] = [];
    let length = 0;
    const heard = (piece: Buffer): void => {
      const at = piece.indexOf(0x0a);
      pieces.push(at < 0 ? piece : piece.subarray(0, at));
      length += piece.length;
      if (length > commandLimitBytes) {
        socket.off('data', heard);
        return end(socket, errorLine('argument-invalid', 'the command is too long'));
      }
      if (at < 0) return;
      clearTimeout(late);
      // whatever comes behind the line is not read
      socket.off('data', heard);
      socket.pause();
      void this.#answer(socket, Buffer.concat(pieces), obey);
    };
    socket.on('data', heard);
    socket.on('end', () => {
      if (socket.listeners('data').includes(heard)) end(socket, '');
    });
  }

  async #answer(socket: Socket, line: Buffer, obey: Obey): Promise<void> {
    const command = read(line);
    if (typeof command === 'string') return end(socket, errorLine('argument-invalid', command));
    const unknown = errorLine(
      'deadline-exceeded',
      'no answer in time; whether it was done stands in the journal, or will',
    );
    const late = setTimeout(() => end(socket, unknown), this.#parts.answerWithinMs);
    const result = await obey(command);
    clearTimeout(late);
    end(socket, resultLine(result));
  }
}

/**
 * Says the last line and hangs up. What still comes is taken in and thrown away for a moment: a socket closed with
 * something unread in it loses what was said to the other end.
 */
function end(socket: Socket, line: string): void {
  if (socket.writableEnded) return;
  const hangUp = (afterMs: number): void => {
    const timer = setTimeout(() => socket.destroy(), afterMs);
    socket.once('close', () => clearTimeout(timer));
  };
  socket.resume();
  hangUp(unreadAfterMs);
  socket.end(line, () => hangUp(lingerMs));
}

/** The command of a line, or what is wrong with it. */
function read(line: Buffer): LocalCommand | string {
  let told: unknown;
  try {
    told = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line));
  } catch {
    return 'a command is one line of JSON in UTF-8';
  }
  const command = localCommandSchema.safeParse(told);
  return command.success ? command.data : z.prettifyError(command.error);
}

/** Whether somebody listens at `path` already; a file that a dead terminal left does not count. */
function isHeard(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => resolve(true));
    // of any other error, such as a queue that is full, nobody knows: then it is left alone
    socket.once('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code !== 'ENOENT' && code !== 'ECONNREFUSED'),
    );
    socket.on('connect', () => socket.destroy());
  });
}
