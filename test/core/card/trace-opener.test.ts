import { describe, expect, test } from 'vitest';
import type { Transmit } from '#core/apdu/transmit.ts';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { type CardProfile, parseCardProfile } from '#core/card/profile.ts';
import { TraceExplainer } from '#core/card/trace/explain.ts';
import type { TraceExchange } from '#core/card/trace/trace-format.ts';
import { type OpenedExchange, TraceOpener } from '#core/card/trace/trace-opener.ts';
import { TraceRecorder } from '#core/card/trace/trace-recorder.ts';
import { Fault } from '#core/fault.ts';
import { type CardDescription, cardDescriptionSchema } from '#simulators/card/card-description.ts';
import { erasedBy, erasedWhile } from '../erased.ts';
import { channelVariant, mutualChannels } from './channel-variants.ts';
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

/** The same with nothing masked, as it never leaves the recorder: what the opener makes of all there is. */
async function recordRaw({
  profile,
  card,
  cardKeys = testKeys,
}: RawRecording): Promise<readonly TraceExchange[]> {
  const real = powered(card);
  const exchanges: TraceExchange[] = [];
  const transmit: Transmit = async (command) => {
    const response = await real.transmit(command);
    const times = { atUs: 0, tookUs: 0 };
    const [sent, answer] = [toHex(command), toHex(response)];
    exchanges.push({
      kind: 'exchange',
      number: exchanges.length + 1,
      ...times,
      command: sent,
      response: answer,
    });
    return response;
  };
  const open = session(transmit, { profiles: [profile], cardKeys });
  expect((await open.read()).kind).toBe('reading');
  if (profile.pin) expect((await open.verifyPin(pin('1234'))).kind).toBe('verified');
  return exchanges;
}

interface RawRecording extends Recording {
  readonly cardKeys?: (request: CardKeyRequest) => Promise<CardKeys>;
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

const number = inText('E00054321   ');
const right = { mac: 'right' };

describe('every channel is opened as far as it protects', () => {
  test.each([
    ['01', { mac: 'none', data: number }, undefined],
    ['03', { mac: 'none', data: number }, undefined],
    ['11', { mac: 'right', data: number }, undefined],
    ['13', { mac: 'right', data: number }, inText('1234')],
    ['33', { mac: 'right', data: number }, inText('1234')],
  ] as const)('SCP03 at level %s', async (level, response, verified) => {
    for (const mode of ['s8', 's16'] as const) {
      const variant = channelVariant({
        ...{ mechanism: 'scp03', cipher: 'aes-192', askedKeyVersion: 0 },
        ...{ level, mode },
      });
      const all = await opened(await recordRaw(variant), variant.profile, variant.cardKeys);
      expect(all.slice(0, 4)).toEqual([
        undefined,
        undefined,
        fit,
        { kind: 'messages', command: right, response },
      ]);
      if (!verified) continue;
      expect(all[4]).toMatchObject({ command: right });
      expect(all[5]).toMatchObject({ command: { mac: 'right', data: verified } });
    }
  });

  test.each(mutualChannels.map((channel) => [channelVariant(channel).name, channel] as const))(
    '%s',
    async (_name, channel) => {
      const variant = channelVariant(channel);
      const all = await opened(await recordRaw(variant), variant.profile, variant.cardKeys);
      expect(all).toEqual([
        undefined,
        undefined,
        fit,
        { kind: 'messages', command: right, response: { mac: 'right', data: number } },
        { kind: 'messages', command: right, response: right },
        { kind: 'messages', command: { mac: 'right', data: inText('1234') }, response: right },
      ]);
    },
  );

  test('the data of an odd instruction has its own form', async () => {
    const variant = channelVariant({
      ...mutualChannels[0],
      messages: 'encrypted',
    } as (typeof mutualChannels)[number]);
    const exchanges = await recordRaw(variant);
    const odd = exchanges.map((exchange) =>
      exchange.number === 4
        ? { ...exchange, response: exchange.response?.replace(/^871101/, '8510') }
        : exchange,
    );
    // the MAC was made over another form, and tells so
    expect((await opened(odd, variant.profile, variant.cardKeys))[3]).toMatchObject({
      response: { mac: 'wrong', data: number },
    });
  });
});

describe('a session of a trace', () => {
  const typeARecording = () => recordRaw({ profile: typeA, card: deckCard('employee') });
  const typeDRecording = () => recordRaw({ profile: typeD, card: deckCard('employee-type-d') });
  const doNotFit = { kind: 'session', keys: 'do-not-fit' };
  const notRecorded = { kind: 'session', keys: 'not-recorded' };
  const answering = (exchanges: readonly TraceExchange[], number: number, response: string) =>
    exchanges.map((exchange) => (exchange.number === number ? { ...exchange, response } : exchange));

  test('asks for the keys of the card as the trace names it, once, and zeroes them', async () => {
    for (const [profile, exchanges, diversification, diversifier] of [
      [typeA, await typeARecording(), 'an10922', '4B415A41535500000001'],
      [typeD, await typeDRecording(), 'kdf3', '4B415A41535500000008'],
    ] as const) {
      const requests: CardKeyRequest[] = [];
      const given: CardKeys[] = [];
      await opened(exchanges, profile, async (request) => {
        requests.push(request);
        const keys = await testKeys(request);
        given.push(keys);
        return keys;
      });
      expect(requests).toEqual([
        { profileId: profile.id, keyVersion: 1, diversification, diversifier: fromHex(diversifier) },
      ]);
      const zeros = '00'.repeat(16);
      expect(given.map(({ encryption, mac }) => [toHex(encryption), toHex(mac)])).toEqual([[zeros, zeros]]);
    }
  });

  test('is closed without its keys: what they reject with is told', async () => {
    for (const error of [new Fault('card-key-missing', 'no key'), new TypeError('a bug')]) {
      for (const [profile, exchanges] of [
        [typeA, await typeARecording()],
        [typeD, await typeDRecording()],
      ] as const)
        await expect(opened(exchanges, profile, () => Promise.reject(error))).rejects.toBe(error);
    }
  });

  test('does not fit an authentication that was refused, had no challenge, or another', async () => {
    const exchanges = await typeARecording();
    expect((await opened(answering(exchanges, 3, '6300'), typeA))[2]).toEqual(doNotFit);
    expect((await opened(answering(exchanges, 2, '11223344556677889000'), typeA))[2]).toEqual(doNotFit);
    const unasked = exchanges.filter(({ number }) => number !== 2);
    expect((await opened(unasked, typeA))[1]).toEqual(doNotFit);
    // nothing behind it is opened
    expect((await opened(unasked, typeA)).slice(2)).toEqual([undefined, undefined, undefined]);
  });

  test('of SCP03 does not fit another answer to INITIALIZE UPDATE, and is not recorded without one', async () => {
    const exchanges = await typeDRecording();
    const update = exchanges[1]?.response ?? '';
    for (const answer of ['6A88', '9000', `${update.slice(0, 42)}0000${update.slice(46)}`])
      expect((await opened(answering(exchanges, 2, answer), typeD))[2]).toEqual(doNotFit);
    expect((await opened(answering(exchanges, 2, `**${update.slice(2)}`), typeD))[2]).toEqual(notRecorded);
    const masked = exchanges.map((exchange) =>
      exchange.number === 2
        ? { ...exchange, command: exchange.command.replace(/.{4}(..)$/, '****$1') }
        : exchange,
    );
    expect((await opened(masked, typeD))[2]).toEqual(notRecorded);
    const torn = exchanges.map(({ response, ...rest }) =>
      rest.number === 2 ? { ...rest, fault: 'card-removed' } : { ...rest, ...(response && { response }) },
    );
    expect((await opened(torn, typeD))[2]).toEqual(notRecorded);
    expect(
      (
        await opened(
          exchanges.filter((one) => one.number !== 2),
          typeD,
        )
      )[1],
    ).toEqual(notRecorded);
  });

  test('of another level than the profile has does not fit', async () => {
    const channel = { mechanism: 'scp03', cipher: 'aes-128', mode: 's8', askedKeyVersion: 0 } as const;
    const recorded = channelVariant({ ...channel, level: '13' });
    const other = channelVariant({ ...channel, level: '33' });
    const all = await opened(await recordRaw(recorded), other.profile, other.cardKeys);
    expect(all[2]).toEqual(doNotFit);
  });

  test('is of the profile whose card AP was selected, and the authentication is the one that was accepted', async () => {
    const exchanges = await typeARecording();
    const opener = new TraceOpener({ profiles: [typeD, typeA], cardKeys: testKeys });
    const all: unknown[] = [];
    for (const exchange of exchanges.slice(0, 3)) all.push(await opener.open(exchange));
    expect(all).toEqual([undefined, undefined, fit]);
    const refused = answering(exchanges, 3, exchanges[2]?.response?.replace(/9000$/, '6300') ?? '');
    expect((await opened(refused, typeA))[2]).toEqual(doNotFit);
  });

  test('ends with the next authentication, and a command in the clear is none of it', async () => {
    const exchanges = await typeARecording();
    const [, , authenticate, read] = exchanges;
    if (!authenticate || !read) throw new Error('expected a recording');
    const clear = { ...read, command: '00B0810000', response: '6982' };
    const lost = { ...authenticate, response: `**${authenticate.response?.slice(2)}` };
    const all = await opened([...exchanges.slice(0, 3), clear, lost, read], typeA);
    expect(all.slice(2)).toEqual([fit, undefined, notRecorded, undefined]);
  });

  test('leaves the keys of the card nowhere in memory, whether they fit or not', async () => {
    for (const [profile, exchanges] of [
      [typeA, await typeARecording()],
      [typeD, await typeDRecording()],
    ] as const) {
      for (const cardKeys of [testKeys, otherKeys]) {
        let given: readonly string[] = [];
        const erased = await erasedWhile(async () => {
          await opened(exchanges.slice(0, 3), profile, async (request) => {
            const keys = await cardKeys(request);
            given = [toHex(keys.encryption), toHex(keys.mac)];
            return keys;
          });
        });
        // what the vault gave, and the copy that the ciphers had of it
        for (const key of given) expect(erased.filter((it) => it === key).length).toBeGreaterThan(1);
      }
    }
  });

  test('ends with the next SELECT, and with closing', async () => {
    const exchanges = await typeARecording();
    const [select, , , read] = exchanges;
    if (!select || !read) throw new Error('expected a recording');
    const again = await opened([...exchanges.slice(0, 3), select, read], typeA);
    expect(again).toEqual([undefined, undefined, fit, undefined, undefined]);
    const opener = new TraceOpener({ profiles: [typeA], cardKeys: testKeys });
    for (const exchange of exchanges.slice(0, 3)) await opener.open(exchange);
    expect(erasedBy(() => opener.close()).length).toBeGreaterThan(2);
    expect(await opener.open(read)).toBeUndefined();
  });

  test('tells of a message without an answer what was asked, and of what is no command nothing', async () => {
    const exchanges = await typeARecording();
    const torn = exchanges.map(({ response, ...rest }) =>
      rest.number === 4 ? { ...rest, fault: 'card-removed' } : { ...rest, ...(response && { response }) },
    );
    expect((await opened(torn, typeA))[3]).toEqual({ kind: 'messages', command: right });
    const garbled = exchanges.map((one) => (one.number === 4 ? { ...one, command: '0CB0' } : one));
    expect((await opened(garbled, typeA))[3]).toBeUndefined();
  });

  test('has no MAC in a message without a data field, or one too short for it', async () => {
    const none = { mac: 'none' };
    const changed = (exchanges: readonly TraceExchange[], command: string, response: string) =>
      exchanges.map((one) => (one.number === 4 ? { ...one, command, response } : one));
    const mutual = await opened(changed(await typeARecording(), '0CB0810000', '9000'), typeA);
    expect(mutual[3]).toEqual({ kind: 'messages', command: none, response: none });
    for (const command of ['04B0810000', '04B0810007112233445566' + '7700']) {
      const gp = await opened(changed(await typeDRecording(), command, '112233445566779000'), typeD);
      expect(gp[3]).toEqual({ kind: 'messages', command: none, response: none });
    }
  });

  test('of SCP03 cannot be verified any further behind a wrong MAC', async () => {
    const variant = channelVariant({
      ...{ mechanism: 'scp03', cipher: 'aes-128', level: '13', mode: 's8', askedKeyVersion: 0 },
    });
    const exchanges = (await recordRaw(variant)).map((one) =>
      one.number === 4 ? { ...one, command: one.command.replace(/^04B081/, '04B082') } : one,
    );
    const all = await opened(exchanges, variant.profile, variant.cardKeys);
    expect(all[3]).toMatchObject({
      command: { mac: 'wrong' },
      response: { mac: 'unverifiable', data: number },
    });
    expect(all[4]).toMatchObject({ command: { mac: 'unverifiable' }, response: { mac: 'unverifiable' } });
    expect(all[5]).toMatchObject({ command: { mac: 'unverifiable', data: inText('1234') } });
  });
});
