import { type Command, parseCommand } from '#core/apdu/command.ts';
import { parseTlv } from '#core/bytes/tlv.ts';
import { isFault } from '#core/fault.ts';
import { commandText, objectName, protectionText } from '#core/texts/apdu-words.ts';
import type { Text } from '#core/texts/language.ts';
import { statusText } from '#core/texts/status-words.ts';
import { type ApduKind, apduKind, macLengthOf } from './apdu-kind.ts';
import { MaskedBytes } from './masked-bytes.ts';
import type { TraceExchange } from './trace-format.ts';

/** One data object of an APDU; values hold `**` for masked bytes. */
export interface ExplainedObject {
  /** 0 for the outermost */
  readonly depth: number;
  /** upper-case hexadecimal */
  readonly tag: string;
  readonly name: Text;
  /** bytes of the value */
  readonly length: number;
  /** absent for a template, whose objects follow */
  readonly value?: string;
}

export interface ExplainedExchange {
  readonly command: {
    readonly words: Text;
    readonly protection?: Text;
    readonly objects: readonly ExplainedObject[];
    /** bytes of a data field without data objects, as recorded */
    readonly data?: string;
  };
  readonly response?: {
    /** upper-case hexadecimal; absent where the answer had no two bytes */
    readonly status?: string;
    readonly words?: Text;
    readonly objects: readonly ExplainedObject[];
    readonly data?: string;
  };
}

const noCommand: Text = { ja: 'コマンドAPDUの形をしていない', en: 'no command APDU' };
const isTemplate = (tag: number): boolean => ((tag > 0xff ? tag >> 8 : tag) & 0x20) !== 0;

/** The data objects of `part`, or nothing where it is not made of them. */
function objectsOf(
  apdu: MaskedBytes,
  part: Uint8Array,
  inProtection: boolean,
  depth = 0,
): readonly ExplainedObject[] {
  let objects: ReturnType<typeof parseTlv>;
  try {
    objects = parseTlv(part);
  } catch (error) {
    if (isFault(error)) return [];
    throw error;
  }
  return objects.flatMap(({ tag, value }): readonly ExplainedObject[] => {
    const common = {
      depth,
      tag: tag.toString(16).toUpperCase().padStart(2, '0'),
      name: objectName(tag, inProtection),
      length: value.length,
    };
    const inner = isTemplate(tag) && !inProtection ? objectsOf(apdu, value, false, depth + 1) : [];
    return inner.length > 0 ? [common, ...inner] : [{ ...common, value: apdu.show(value) }];
  });
}

/** The command that a protected one carries, as far as it shows: data is only known to be there. */
function carried(
  { cla, ins, p1, p2, data = new Uint8Array(), expected }: Command,
  kind: ApduKind,
  objects: readonly ExplainedObject[],
  macLength: number,
): { command: Command; hasData: boolean } {
  const header = { cla, ins, p1, p2 };
  // the GlobalPlatform form has no objects and leaves Le as it was: what is more than a MAC is data
  if (kind === 'protected-gp') {
    const command = { ...header, ...(expected !== undefined && { expected }) };
    return { command, hasData: data.length > macLength };
  }
  const le = objects.find(({ tag }) => tag === '97')?.value;
  const command = { ...header, ...(le !== undefined && { expected: Number.parseInt(le, 16) || 256 }) };
  return { command, hasData: objects.some(({ tag }) => ['81', '85', '87'].includes(tag)) };
}

function explainCommand(
  apdu: MaskedBytes,
  command: Command,
  macLength: number,
): ExplainedExchange['command'] {
  const { data = new Uint8Array() } = command;
  const protection = protectionText(command.cla);
  const kind = apduKind(command);
  const objects = kind === 'protected-iso' ? objectsOf(apdu, data, true) : [];
  const meant = protection
    ? carried(command, kind, objects, macLength)
    : { command, hasData: data.length > 0 };
  const named = kind === 'select-application' || kind === 'select-file';
  return {
    words: commandText({ ...meant, shownData: named ? apdu.show(data) : '' }),
    ...(protection && { protection }),
    objects,
    ...(objects.length === 0 && data.length > 0 && !named && { data: apdu.show(data) }),
  };
}

function explainResponse(
  apdu: MaskedBytes,
  command: Command | undefined,
): NonNullable<ExplainedExchange['response']> {
  const end = apdu.bytes.length - 2;
  if (end < 0) return { objects: [], ...(end === -1 && { data: apdu.show() }) };
  const status = apdu.show(apdu.bytes.subarray(end));
  const words = statusText(Number.parseInt(status, 16));
  const data = apdu.bytes.subarray(0, end);
  const kind = command && apduKind(command);
  const structured = kind === 'protected-iso' || kind === 'select-application';
  const objects = structured ? objectsOf(apdu, data, kind === 'protected-iso') : [];
  return {
    status,
    ...(words && { words }),
    objects,
    ...(objects.length === 0 && data.length > 0 && { data: apdu.show(data) }),
  };
}

/** Explains the exchanges of one trace, in their order. */
export class TraceExplainer {
  /** bytes of a MAC of the SCP03 session; 8 where the trace does not show how it was opened */
  #macLength = 8;

  /** One exchange in words and fields. Never fails: what cannot be understood is shown as it is. */
  explain({ command, response }: TraceExchange): ExplainedExchange {
    const apdu = new MaskedBytes(command);
    const parsed = parseCommand(apdu.bytes);
    if (parsed && apduKind(parsed) === 'initialize-update') this.#macLength = macLengthOf(parsed);
    return {
      command: parsed
        ? explainCommand(apdu, parsed, this.#macLength)
        : { words: noCommand, objects: [], data: command },
      ...(response !== undefined && { response: explainResponse(new MaskedBytes(response), parsed) }),
    };
  }
}
