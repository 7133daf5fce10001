/** A command APDU in the clear (ISO 7816-4, 5.1). `expected` is Ne, 1 to 65,536; absent where no data is expected. */
export interface Command {
  readonly cla: number;
  readonly ins: number;
  readonly p1: number;
  readonly p2: number;
  readonly data?: Uint8Array;
  readonly expected?: number;
}

const noData = new Uint8Array();

function encodeShort(command: Command, data: Uint8Array): Uint8Array {
  const { expected } = command;
  const bodyLength = data.length === 0 ? 0 : 1 + data.length;
  const apdu = new Uint8Array(4 + bodyLength + (expected === undefined ? 0 : 1));
  if (data.length > 0) {
    apdu[4] = data.length;
    apdu.set(data, 5);
  }
  if (expected !== undefined) apdu[apdu.length - 1] = expected & 0xff;
  return apdu;
}

function encodeExtended(command: Command, data: Uint8Array): Uint8Array {
  const { expected } = command;
  const bodyLength = data.length === 0 ? 0 : 2 + data.length;
  const apdu = new Uint8Array(5 + bodyLength + (expected === undefined ? 0 : 2));
  if (data.length > 0) {
    apdu[5] = data.length >> 8;
    apdu[6] = data.length & 0xff;
    apdu.set(data, 7);
  }
  if (expected !== undefined) {
    apdu[apdu.length - 2] = (expected >> 8) & 0xff;
    apdu[apdu.length - 1] = expected & 0xff;
  }
  return apdu;
}

/** Encodes a command, in short form where it fits and else in extended form (ISO 7816-4, 5.1 and 12.1.1). */
export function encodeCommand(command: Command): Uint8Array {
  const { data = noData, expected } = command;
  if (data.length > 0xffff || (expected !== undefined && (expected < 1 || expected > 0x10000))) {
    throw new TypeError('a command APDU that ISO 7816-4 cannot encode');
  }
  const short = data.length <= 0xff && (expected === undefined || expected <= 0x100);
  const apdu = short ? encodeShort(command, data) : encodeExtended(command, data);
  apdu[0] = command.cla;
  apdu[1] = command.ins;
  apdu[2] = command.p1;
  apdu[3] = command.p2;
  return apdu;
}

type Body = Pick<Command, 'data' | 'expected'>;

function parseShort(body: Uint8Array): Body | undefined {
  const first = body[0] ?? 0;
  if (body.length === 1) return { expected: first || 0x100 };
  if (first === 0) return undefined;
  const data = body.subarray(1, 1 + first);
  if (body.length === 1 + first) return { data };
  return body.length === 2 + first ? { data, expected: body[1 + first] || 0x100 } : undefined;
}

function parseExtended(body: Uint8Array): Body | undefined {
  const length = ((body[1] ?? 0) << 8) | (body[2] ?? 0);
  if (body.length === 3) return { expected: length || 0x10000 };
  if (length === 0) return undefined;
  const data = body.subarray(3, 3 + length);
  if (body.length === 3 + length) return { data };
  if (body.length !== 5 + length) return undefined;
  return { data, expected: ((body[3 + length] ?? 0) << 8) | (body[4 + length] ?? 0) || 0x10000 };
}

/** Parses a command APDU of any form; undefined when its length fits none, which a card answers by 6700. */
export function parseCommand(apdu: Uint8Array): Command | undefined {
  const [cla, ins, p1, p2] = apdu;
  if (cla === undefined || ins === undefined || p1 === undefined || p2 === undefined) return undefined;
  const body = apdu.subarray(4);
  if (body.length === 0) return { cla, ins, p1, p2 };
  const parsed = body[0] === 0 && body.length > 2 ? parseExtended(body) : parseShort(body);
  return parsed && { cla, ins, p1, p2, ...parsed };
}
