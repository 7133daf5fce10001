import { spawn } from 'node:child_process';
import { join } from 'node:path';

const program = join(import.meta.dirname, '../../scripts/kazasu');

export interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** root may read everything: without these it is held to file modes like anybody */
export const asMortal =
  process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : [];

/** Runs the command line as a shell does, without a terminal, and bound by file modes. */
export function kazasu(...words: readonly string[]): Promise<Run> {
  return new Promise((resolve, reject) => {
    const [first = '', ...rest] = [...asMortal, program, ...words];
    const child = spawn(first, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (piece: Buffer) => out.push(piece));
    child.stderr.on('data', (piece: Buffer) => err.push(piece));
    child.once('error', reject);
    child.once('close', (code) =>
      resolve({ code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }),
    );
  });
}

/** What a command that must fail says in text, having written nothing to standard output. */
export async function refusal(...words: readonly string[]): Promise<string> {
  const { code, out, err } = await kazasu(...words);
  if (code !== 1 || out !== '')
    throw new Error(`expected code 1 and no output: ${JSON.stringify({ code, out })}`);
  if (/\n {4}at /.test(err)) throw new Error(`a stack trace for the user:\n${err}`);
  return err;
}

/** The error document of a command that must fail under --json. */
export async function refusalDocument(
  ...words: readonly string[]
): Promise<{ fault: string; message: string; [member: string]: unknown }> {
  const { code, out, err } = await kazasu(...words, '--json');
  if (code !== 1 || err !== '')
    throw new Error(`expected code 1 and no remark: ${JSON.stringify({ code, err })}`);
  const document = JSON.parse(out);
  if (typeof document.error?.fault !== 'string' || typeof document.error.message !== 'string') {
    throw new Error(`no error document: ${out}`);
  }
  return document.error;
}
