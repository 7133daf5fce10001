import { describe, expect, test } from 'vitest';
import { formatTrace, parseTrace, type TraceHeader } from '#core/card/trace/trace-format.ts';

const header: TraceHeader = {
  kind: 'card-trace',
  formatVersion: 1,
  program: '0.1.0',
  recordedAt: '2026-04-01T00:00:00.000Z',
  readerName: 'Reader',
  profiles: ['synthetic-type-a'],
  protection: 'kept',
};
const exchange = {
  kind: 'exchange',
  number: 2,
  atUs: 20,
  tookUs: 7,
  command: '0084000008',
  response: '**9000',
};
const outcome = { kind: 'outcome', outcome: 'refused' };
const lines = (...given: readonly unknown[]) => given.map((one) => JSON.stringify(one)).join('\n');

/** What is said of a trace that is refused. */
function refusal(text: string): string {
  try {
    parseTrace(text, 'trace');
  } catch (error) {
    expect(error).toMatchObject({ code: 'file-unreadable' });
    return (error as Error).message;
  }
  throw new Error('the trace was taken');
}

describe('a trace is taken', () => {
  test.each([
    ['of a header alone', []],
    ['cut off behind an exchange', [exchange, { ...exchange, number: 3, atUs: 0, tookUs: 0 }]],
    ['whose exchange had no answer', [{ ...exchange, response: undefined, fault: 'card-removed' }]],
    ['with its outcome', [exchange, outcome]],
    [
      'with the outcome of a PIN, and a fault',
      [exchange, { ...outcome, pin: 'wrong', fault: { code: 'card-timeout', message: 'no answer' } }],
    ],
  ])('%s', (_name, rest) => {
    const trace = parseTrace(lines(header, ...rest), 'trace');
    expect(JSON.parse(JSON.stringify([header, ...rest]))).toEqual([
      trace.header,
      ...trace.exchanges,
      ...('outcome' in trace ? [trace.outcome] : []),
    ]);
    expect(formatTrace(trace)).toBe(`${lines(header, ...rest)}\n`);
  });

  test('with blank lines and the line ends of another system', () => {
    const text = `${lines(header)}\r\n  \r\n\r\n${lines(exchange)}\r\n`;
    expect(parseTrace(text, 'trace').exchanges).toHaveLength(1);
  });
});

describe('a trace is refused', () => {
  test.each([
    ['that is empty', '', 'trace:1: this is no line of a card trace'],
    ['that is no JSON', `${lines(header)}\n{`, 'trace:2: this is no line of a card trace'],
    ['with a line of no kind', lines(header, { number: 1 }), 'trace:2: kind: '],
    ['without its header', lines(exchange), 'trace:1: kind: '],
    [
      'of another version, and with a profile that has no name',
      lines({ ...header, formatVersion: 2, profiles: [5] }),
      'trace:1: formatVersion: Invalid input: expected 1; profiles.0: Invalid input: expected string',
    ],
    ['of another protection', lines({ ...header, protection: 'none' }), 'trace:1: protection: '],
    ['with something unknown', lines(header, { ...exchange, colour: 1 }), 'trace:2: line: Unrecognized key'],
    ['whose exchanges count from 0', lines(header, { ...exchange, number: 0 }), 'trace:2: number: '],
    ['that begins before it began', lines(header, { ...exchange, atUs: -1 }), 'trace:2: atUs: '],
    [
      'whose answer came before it was asked',
      lines(header, { ...exchange, tookUs: -1 }),
      'trace:2: tookUs: ',
    ],
    [
      'with an answer and a fault',
      lines(header, { ...exchange, fault: 'x' }),
      'has one of response and fault',
    ],
    ['with neither', lines(header, { ...exchange, response: undefined }), 'has one of response and fault'],
    [
      'whose outcome is no last line',
      lines(header, outcome, exchange),
      'the outcome stands before an exchange',
    ],
    ['with two outcomes', lines(header, outcome, outcome), 'the outcome stands before an exchange'],
    ['with half a fault', lines(header, { ...outcome, fault: { code: 'x' } }), 'trace:2: fault.message: '],
  ])('%s', (_name, text, said) => {
    expect(refusal(text)).toContain(said);
  });

  test.each(['0', '0a', '*', '0*', '00 00', '***'])('whose bytes are %j', (bytes) => {
    const said = 'is not hexadecimal with ** for masked bytes';
    expect(refusal(lines(header, { ...exchange, command: bytes }))).toBe(`trace:2: command: ${said}`);
    expect(refusal(lines(header, { ...exchange, response: bytes }))).toBe(`trace:2: response: ${said}`);
  });

  test('that is no JSON, with what was wrong about it', () => {
    expect(() => parseTrace('{', 'trace')).toThrow(
      expect.objectContaining({ cause: expect.any(SyntaxError) }),
    );
  });
});
