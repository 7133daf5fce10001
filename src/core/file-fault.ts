import { Fault } from './fault.ts';

const words: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  ENOTDIR: 'a part of its path is no folder',
  EISDIR: 'it is a folder',
  EACCES: 'no permission; run the command as the user it belongs to',
  EPERM: 'no permission; run the command as the user it belongs to',
};

/** The Fault `file-unreadable` for `file`, saying why the operating system refused it (`error` with a code of errno). */
export function unreadable(file: string, error: unknown): Fault {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  const why = words[code] ?? 'the system refused it';
  return new Fault('file-unreadable', `${file} cannot be read: ${why}${code === '' ? '' : ` (${code})`}`, {
    cause: error,
  });
}
