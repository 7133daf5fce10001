import { z } from 'zod';
import { Fault } from '#core/fault.ts';

/** Version of the format of card traces: JSON lines, a header, the exchanges in order, the outcome. */
export const traceFormatVersion = 1;

/**
 * What became of protected messages: `masked`, their bytes were not recorded; `kept`, they stand as they crossed the
 * air, so that whoever has the keys of the card AP can open them and nobody else can.
 */
export const traceProtections = ['masked', 'kept'] as const;

/** hexadecimal in which `**` stands for a byte that was not recorded */
const maskedHex = z.string().regex(/^(?:[0-9A-F]{2}|\*\*)*$/, 'is not hexadecimal with ** for masked bytes');

const header = z.strictObject({
  kind: z.literal('card-trace'),
  formatVersion: z.literal(traceFormatVersion),
  /** version of the program that recorded it */
  program: z.string(),
  /** ISO 8601, UTC */
  recordedAt: z.string(),
  readerName: z.string(),
  /** ids of the card profiles, in order of preference */
  profiles: z.array(z.string()),
  protection: z.enum(traceProtections),
});
export type TraceHeader = z.infer<typeof header>;

const exchange = z
  .strictObject({
    kind: z.literal('exchange'),
    /** from 1 */
    number: z.int().min(1),
    /** microseconds from the first command to this one */
    atUs: z.int().min(0),
    /** microseconds until the answer, or until there was none */
    tookUs: z.int().min(0),
    command: maskedHex,
    response: maskedHex.optional(),
    /** code of the fault in place of a response */
    fault: z.string().optional(),
  })
  .refine((it) => (it.response === undefined) !== (it.fault === undefined), 'has one of response and fault');
export type TraceExchange = z.infer<typeof exchange>;

const ending = z.strictObject({
  kind: z.literal('outcome'),
  /** of the reading: `reading`, `unknown-card`, `removed`, `timeout` or `refused` */
  outcome: z.string(),
  /** of the PIN verification, where one was made */
  pin: z.string().optional(),
  fault: z.strictObject({ code: z.string(), message: z.string() }).optional(),
});
export type TraceOutcome = z.infer<typeof ending>;

export interface CardTrace {
  readonly header: TraceHeader;
  readonly exchanges: readonly TraceExchange[];
  readonly outcome?: TraceOutcome;
}

export function formatTrace({ header, exchanges, outcome }: CardTrace): string {
  const lines = [header, ...exchanges, ...(outcome ? [outcome] : [])];
  return `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`;
}

function parseLine<S extends z.ZodType>(schema: S, line: string | undefined, place: string): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(line ?? '');
  } catch (cause) {
    throw new Fault('file-unreadable', `${place}: this is no line of a card trace`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'line'}: ${message}`);
  throw new Fault('file-unreadable', `${place}: ${problems.join('; ')}`);
}

/** Reads a trace; one that was cut off behind any line is still a trace. Throws a Fault `file-unreadable` with the line. */
export function parseTrace(text: string, source: string): CardTrace {
  const [first, ...others] = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  const parsedHeader = parseLine(header, first, `${source}:1`);
  const rest = others.map((line, index) =>
    parseLine(z.discriminatedUnion('kind', [exchange, ending]), line, `${source}:${index + 2}`),
  );
  const last = rest.at(-1);
  const outcome = last?.kind === 'outcome' ? last : undefined;
  const exchanges = rest.filter((line) => line.kind === 'exchange');
  if (exchanges.length + (outcome ? 1 : 0) !== rest.length) {
    throw new Fault('file-unreadable', `${source}: the outcome stands before an exchange`);
  }
  return { header: parsedHeader, exchanges, ...(outcome && { outcome }) };
}
