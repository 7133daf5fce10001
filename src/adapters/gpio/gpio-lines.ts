import { Fault } from '#core/fault.ts';

export type GpioLevel = 0 | 1;

/** A line in use, with the part of onoff's `Gpio` that is needed. Levels are those of the wire: no `active_low` of the kernel. */
export interface GpioLine {
  readSync(): GpioLevel;
  writeSync(level: GpioLevel): void;
  /** Calls `changed` after each edge. A line that is gone may tell of it so, or when it is next read. */
  watch(changed: () => void): void;
  unwatchAll(): void;
  /** Gives the line back. It is not used any more. */
  unexport(): void;
}

export interface LineName {
  readonly chip: string;
  readonly line: number;
}

/** Opens lines by chip label and offset. Throws door faults. */
export interface GpioLines {
  /** An output that is at `level` from the first moment on: the kernel sets level and direction in one step. */
  output(name: LineName, level: GpioLevel): GpioLine;
  input(name: LineName): GpioLine;
}

const reasons = new Map<unknown, string>([
  ['EBUSY', 'is held by another program or driver'],
  ['EACCES', 'is closed to this user'],
]);

/** What is wrong when `chip` exists and its line cannot be had. */
export function cannotOpen({ chip, line }: LineName, cause: unknown): Fault {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  const why = reasons.get(code) ?? 'cannot be opened';
  return new Fault('door-hardware-absent', `GPIO line ${line} of ${chip} ${why}`, { cause });
}
