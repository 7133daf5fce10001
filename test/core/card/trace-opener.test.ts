import { expect, test } from 'vitest';
import type { Transmit } from '#core/apdu/transmit.ts';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { type CardProfile, parseCardProfile } from '#core/card/profile.ts';
import { TraceExplainer } from '#core/card/trace/explain.ts';
import type { TraceExchange } from '#core/card/trace/trace-format.ts';
import { type OpenedExchange, TraceOpener } from '#core/card/trace/trace-opener.ts';
import { TraceRecorder } from '#core/card/trace/trace-recorder.ts';
import { type CardDescription, cardDescriptionSchema } from '#simulators/card/card-description.ts';
import { deckCard, pin, powered, session, testKeys, typeA, typeD } from './rig.ts';

interface Recording {
  readonly profile: CardProfile;
  readonly card: CardDescription;
  readonly protection?: 'masked' | 'kept';
}

async function record({ profile, card, protection = 'kept' }: Recording): Promise<readonly TraceExchange[]> {
  const real = powered(card);
  const transmit: Transmit = (command) => real.transmit(command);
  const recorder = new TraceRecorder({ transmit, profiles: [profile], monotonicUs: () => 0 });
  const open = session(recorder.transmit, { profiles: [profile] });
  expect((await open.read()).kind).toBe('reading');
  if (profile.pin) expect((await open.verifyPin(pin('1234'))).kind).toBe('verified');
  return recorder.exchanges(protection);
}

async function opened(
  exchanges: readonly TraceExchange[],
  profile: CardProfile,
  cardKeys: (request: CardKeyRequest) => Promise<CardKeys> = testKeys,
): Promise<readonly (OpenedExchange | undefined)[]> {
  const opener = new TraceOpener({ profiles: [profile], cardKeys });
  const all: (OpenedExchange | undefined)[] = [];
  for (const exchange of exchanges) all.push(await opener.open(exchange));
  opener.close();
  return all;
}

const otherKeys = async (request: CardKeyRequest): Promise<CardKeys> => {
  const keys = await testKeys(request);
  keys.mac[0] = (keys.mac[0] ?? 0) ^ 1;
  return keys;
};

const encrypted = parseCardProfile(
  { ...typeA, channel: { ...typeA.channel, messages: 'encrypted' } },
  'test',
);
const encryptedCard = cardDescriptionSchema.parse({
  ...deckCard('employee'),
  cardApplications: deckCard('employee').cardApplications.map((application) =>
    application.keys ? { ...application, keys: { ...application.keys, messages: 'encrypted' } } : application,
  ),
});
const inText = (text: string) => toHex(new TextEncoder().encode(text));
const fit = { kind: 'session', keys: 'fit' };

test('a Type A session is opened: MACs are checked, also behind what is masked, and the PIN stays masked', async () => {
  const all = await opened(await record({ profile: typeA, card: deckCard('employee') }), typeA);
  expect(all).toEqual([
    undefined,
    undefined,
    fit,
    { kind: 'messages', command: { mac: 'right' }, response: { mac: 'unverifiable' } },
    { kind: 'messages', command: { mac: 'right' }, response: { mac: 'right' } },
    { kind: 'messages', command: { mac: 'unverifiable' }, response: { mac: 'right' } },
  ]);
});

test('of a profile that encrypts, the keys show what was read', async () => {
  const all = await opened(await record({ profile: encrypted, card: encryptedCard }), encrypted);
  expect(all[3]).toEqual({
    kind: 'messages',
    command: { mac: 'right' },
    response: { mac: 'right', data: inText('E00012345   ') },
  });
});

test('a Type D session is opened, and its user number', async () => {
  const exchanges = await record({ profile: typeD, card: deckCard('employee-type-d') });
  expect(JSON.stringify(exchanges)).not.toContain('*');
  const all = await opened(exchanges, typeD);
  expect(all.slice(0, 3)).toEqual([undefined, undefined, fit]);
  expect(all[3]).toMatchObject({ kind: 'messages', command: { mac: 'right' }, response: { mac: 'right' } });
  const [last] = all.slice(-1);
  const reading = await session(powered(deckCard('employee-type-d')).transmit, { profiles: [typeD] }).read();
  if (reading.kind !== 'reading' || last?.kind !== 'messages') throw new Error('expected a reading');
  expect(last.response?.data).toContain(inText(reading.reading.userNumber));
  expect(new TraceExplainer().explain(exchanges[1] as TraceExchange).command.words.en).toContain(
    'INITIALIZE UPDATE',
  );
});

test.each([
  ['Type A', { profile: typeA, card: deckCard('employee') }],
  ['Type D', { profile: typeD, card: deckCard('employee-type-d') }],
])(
  '%s: other keys open nothing, and neither do the right ones where nothing was kept',
  async (_name, recording) => {
    const kept = await opened(await record(recording), recording.profile, otherKeys);
    expect(kept.filter((one) => one !== undefined)).toEqual([{ kind: 'session', keys: 'do-not-fit' }]);
    const masked = await record({ ...recording, protection: 'masked' });
    const none = await opened(masked, recording.profile);
    expect(none.filter((one) => one !== undefined)).toEqual([{ kind: 'session', keys: 'not-recorded' }]);
  },
);

test.each([
  ['Type A', encrypted, encryptedCard],
  ['Type D', typeD, deckCard('employee-type-d')],
])('%s: a changed message shows by its MAC', async (_name, profile, card) => {
  const exchanges = await record({ profile, card });
  const changed = exchanges.map((exchange) => {
    if (exchange.number !== 4 || exchange.response === undefined) return exchange;
    const bytes = fromHex(exchange.response);
    bytes[bytes.length - 3] = (bytes.at(-3) ?? 0) ^ 1;
    return { ...exchange, response: toHex(bytes) };
  });
  expect((await opened(changed, profile))[3]).toMatchObject({ response: { mac: 'wrong' } });
});

test('without its profile, cut off, or of no application, a trace is not opened and nothing fails', async () => {
  const exchanges = await record({ profile: typeD, card: deckCard('employee-type-d') });
  expect(await opened(exchanges, typeA)).toEqual(exchanges.map(() => undefined));
  expect(await opened(exchanges.slice(2), typeD)).toEqual(exchanges.slice(2).map(() => undefined));
  const torn = exchanges.map(({ response: _, ...rest }) => ({ ...rest, fault: 'card-removed' }));
  expect(await opened(torn, typeD)).toEqual(torn.map(() => undefined));
});

test('the MACs behind a masked command of SCP03 cannot be verified, but its data is read', async () => {
  const exchanges = await record({ profile: typeD, card: deckCard('employee-type-d') });
  const masked = exchanges.map((exchange) =>
    exchange.number === 4
      ? { ...exchange, command: exchange.command.replace(/.{4}(..)$/, '****$1') }
      : exchange,
  );
  expect((await opened(masked, typeD))[3]).toMatchObject({
    command: { mac: 'unverifiable' },
    response: { mac: 'unverifiable', data: inText('E00089012   ') },
  });
});

test('a changed command shows by its MAC, and an error without protection has none', async () => {
  for (const [profile, card] of [
    [encrypted, encryptedCard],
    [typeD, deckCard('employee-type-d')],
  ] as const) {
    const exchanges = await record({ profile, card });
    const changed = exchanges.map((exchange) => {
      if (exchange.number !== 4) return exchange;
      const bytes = fromHex(exchange.command);
      bytes[3] = (bytes[3] ?? 0) ^ 1;
      return { ...exchange, command: toHex(bytes), response: '6988' };
    });
    expect((await opened(changed, profile))[3]).toEqual({
      kind: 'messages',
      command: { mac: 'wrong' },
      response: { mac: 'none' },
    });
  }
});

test('what has no structure of a protected message opens to nothing', async () => {
  const exchanges = await record({ profile: encrypted, card: encryptedCard });
  const garbage = exchanges.map((exchange) =>
    exchange.number === 4 ? { ...exchange, command: '0CB0810003FF00FF00', response: 'FFFF9000' } : exchange,
  );
  expect((await opened(garbage, encrypted))[3]).toEqual({
    kind: 'messages',
    command: { mac: 'none' },
    response: { mac: 'none' },
  });
});

test('an answer to SELECT that is malformed leaves the trace closed', async () => {
  const exchanges = await record({ profile: typeA, card: deckCard('employee') });
  const malformed = exchanges.map((exchange) =>
    exchange.number === 1 ? { ...exchange, response: '6F019000' } : exchange,
  );
  expect(await opened(malformed, typeA)).toEqual(exchanges.map(() => undefined));
});
