import { type Command, parseCommand } from '#core/apdu/command.ts';
import { parseTlv } from '#core/bytes/tlv.ts';
import { isFault } from '#core/fault.ts';
import { commandText, objectName, protectionText } from '#core/texts/apdu-words.ts';
import type { Text } from '#core/texts/language.ts';
import { statusText } from '#core/texts/status-words.ts';
import { apduKind } from './apdu-kind.ts';
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
  command: Command,
  objects: readonly ExplainedObject[],
): { command: Command; hasData: boolean } {
  const { cla, ins, p1, p2, data = new Uint8Array() } = command;
  const le = objects.find(({ tag }) => tag === '97')?.value;
  const expected = le === undefined ? undefined : Number.parseInt(le, 16) || 256;
  const plain = { cla, ins, p1, p2, ...(expected !== undefined && { expected }) };
  const dataTags = ['81', '85', '87'];
  // the GlobalPlatform form has no objects: what is more than a MAC is data
  const hasData = objects.length > 0 ? objects.some(({ tag }) => dataTags.includes(tag)) : data.length > 8;
  return { command: plain, hasData };
}

function explainCommand(apdu: MaskedBytes, command: Command): ExplainedExchange['command'] {
  const { data = new Uint8Array() } = command;
  const protection = protectionText(command.cla);
  const kind = apduKind(command);
  const objects = kind === 'protected-iso' ? objectsOf(apdu, data, true) : [];
  const meant = protection ? carried(command, objects) : { command, hasData: data.length > 0 };
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

/** One exchange of a trace in words and fields. Never fails: what cannot be understood is shown as it is. */
export function explainExchange({ command, response }: TraceExchange): ExplainedExchange {
  const commandApdu = new MaskedBytes(command);
  const parsed = parseCommand(commandApdu.bytes);
  return {
    command: parsed ? explainCommand(commandApdu, parsed) : { words: noCommand, objects: [], data: command },
    ...(response !== undefined && { response: explainResponse(new MaskedBytes(response), parsed) }),
  };
}
