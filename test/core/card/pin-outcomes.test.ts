import { describe, expect, test } from 'vitest';
import { encodeCommand } from '#core/apdu/command.ts';
import { splitResponse } from '#core/apdu/response.ts';
import { toHex } from '#core/bytes/bytes.ts';
import type { SecureChannel } from '#core/card/channel/secure-channel.ts';
import { changePin, type PinParts, verifyPin } from '#core/card/pin.ts';
import { type CardProfile, parseCardProfile } from '#core/card/profile.ts';
import type { Reading } from '#core/card/reading.ts';
import { Fault } from '#core/fault.ts';
import { erasedWhile } from '../erased.ts';
import { pin, scripted, typeA } from './rig.ts';

const reading: Reading = {
  organization: 'kazasu-city',
  profileId: typeA.id,
  method: 'type-a',
  userNumber: 'E00012345',
  assurance: ['mutual-authentication', 'message-authentication'],
  timings: { connectUs: 0, selectUs: 0, authenticateUs: 0, authenticateCardUs: 0, readUs: 0, exchanges: 4 },
};

/** A channel that protects nothing: what a card answers stands as it was, authentic or not. */
const channelOf = (unwrap: SecureChannel['unwrap']): SecureChannel => ({
  wrap: encodeCommand,
  unwrap,
  close: () => undefined,
});
const believing = channelOf((response) => ({ ...splitResponse(response), authentic: true, encrypted: true }));

function asked(answers: readonly string[], changes: Partial<PinParts> = {}) {
  const { transmit, commands } = scripted(...answers);
  const parts: PinParts = { profile: typeA, channel: believing, reading, transmit, ...changes };
  return { parts, sent: () => commands.map((command) => toHex(command)) };
}

const withPolicy = (changes: object): CardProfile =>
  parseCardProfile({ ...typeA, pin: { ...typeA.pin, ...changes } }, 'test');
const lastTry = withPolicy({ minimumTriesLeft: 1 });
const refusedPin = (status: string) => ({
  code: 'card-answer-status',
  message: expect.stringContaining(`the card did not take the PIN: status ${status}`),
});

describe('what the card answers to the PIN', () => {
  const query = '00200081';
  const verify = '002000810431323334';

  test.each([
    ['9000', { kind: 'verified', reading: { ...reading, assurance: [...reading.assurance, 'pin'] } }],
    ['63C2', { kind: 'wrong', triesLeft: 2 }],
    ['63C1', { kind: 'wrong', triesLeft: 1 }],
    // a card that does not count aloud
    ['6300', { kind: 'wrong', triesLeft: 2 }],
    ['63C0', { kind: 'blocked' }],
    ['6983', { kind: 'blocked' }],
    ['6984', { kind: 'blocked' }],
  ])('%s', async (status, outcome) => {
    const { parts, sent } = asked(['63C3', status]);
    expect(await verifyPin(parts, pin('1234'))).toEqual(outcome);
    expect(sent()).toEqual([query, verify]);
  });

  test('6300 at the last try has blocked it', async () => {
    const { parts } = asked(['63C1', '6300'], { profile: lastTry });
    expect(await verifyPin(parts, pin('1234'))).toEqual({ kind: 'blocked' });
  });

  test.each(['6982', '6A80', '6282'])('%s is no answer to a PIN', async (status) => {
    await expect(verifyPin(asked(['63C3', status]).parts, pin('1234'))).rejects.toMatchObject(
      refusedPin(status),
    );
  });

  test.each([
    ['63C1', { kind: 'withheld', triesLeft: 1 }],
    ['63C0', { kind: 'blocked' }],
    ['6983', { kind: 'blocked' }],
    ['6984', { kind: 'blocked' }],
  ])('with %s to the counter the PIN is not sent', async (status, outcome) => {
    const { parts, sent } = asked([status]);
    expect(await verifyPin(parts, pin('1234'))).toEqual(outcome);
    expect(sent()).toEqual([query]);
  });

  test.each(['9000', '6300', '6A88'])(
    '%s to the counter tells no tries, and the PIN is not sent',
    async (status) => {
      const { parts, sent } = asked([status]);
      await expect(verifyPin(parts, pin('1234'))).rejects.toMatchObject(refusedPin(status));
      expect(sent()).toEqual([query]);
    },
  );
});

describe('what is sent as a PIN', () => {
  test.each([
    ['123', '4 to 8'],
    ['123456789', '4 to 8'],
    ['123/', '4 to 8'],
    ['123:', '4 to 8'],
  ])('is none when it is %j', async (entered, range) => {
    const { parts, sent } = asked([]);
    const message = `a PIN of this card AP has ${range} digits`;
    const refused = { kind: 'refused', fault: { code: 'argument-invalid', message } };
    expect(await verifyPin(parts, pin(entered))).toEqual(refused);
    expect(await changePin(parts, pin(entered), pin('1234'))).toEqual(refused);
    expect(await changePin(parts, pin('1234'), pin(entered))).toEqual(refused);
    expect(sent()).toEqual([]);
  });

  test.each(['0000', '99999999'])('is one when it is %j', async (entered) => {
    expect((await verifyPin(asked(['63C3', '9000']).parts, pin(entered))).kind).toBe('verified');
  });

  test('is nothing where the profile has none, where one was verified, or where it would change nothing', async () => {
    const { pin: _pin, ...withoutPin } = typeA;
    const none = asked([], { profile: parseCardProfile(withoutPin, 'test') });
    const before = asked([], { reading: { ...reading, assurance: ['pin'] } });
    const refused = (message: string) => ({ kind: 'refused', fault: { code: 'argument-invalid', message } });
    const both = async ({ parts }: typeof none) => [
      await verifyPin(parts, pin('1234')),
      await changePin(parts, pin('1234'), pin('5678')),
    ];
    for (const outcome of await both(none))
      expect(outcome).toEqual(refused(`card profile ${typeA.id} has no PIN`));
    for (const outcome of await both(before))
      expect(outcome).toEqual(refused('the PIN was verified on this session before'));
    expect(await changePin(asked([]).parts, pin('1234'), pin('1234'))).toEqual(
      refused('the new PIN is the old one'),
    );
  });

  test('is zeroed in every form it took on the way', async () => {
    const erased = await erasedWhile(async () => verifyPin(asked(['63C3', '9000']).parts, pin('1234')));
    expect(erased).toContain('31323334');
    const torn = asked(['63C3']);
    const whileTorn = await erasedWhile(async () => {
      await expect(verifyPin(torn.parts, pin('1234'))).rejects.toThrow('no answer left');
    });
    expect(whileTorn).toContain('31323334');
    const changing = await erasedWhile(() =>
      changePin(asked(['63C3', '9000', '9000']).parts, pin('1234'), pin('5678')),
    );
    expect(changing).toEqual(expect.arrayContaining(['31323334', '35363738', '3132333435363738']));
  });
});

describe('what the card answers to the change', () => {
  const change = (status: string) => {
    const given = asked(['63C3', '9000', status]);
    return { ...given, outcome: changePin(given.parts, pin('1234'), pin('5678')) };
  };

  test('9000: it is changed, by the verified PIN and the new one behind it', async () => {
    const { outcome, sent } = change('9000');
    expect(await outcome).toEqual({ kind: 'changed' });
    expect(sent()).toEqual(['00200081', '002000810431323334', '0024008108' + '3132333435363738']);
  });

  test.each(['6282', '6300', '6581', '6500'])('%s: whether it is changed cannot be told', async (status) => {
    expect(await change(status).outcome).toMatchObject({ kind: 'uncertain', fault: refusedPin(status) });
  });

  test.each(['6A80', '6985', '63C2', '6983'])('%s: it is not', async (status) => {
    await expect(change(status).outcome).rejects.toMatchObject(refusedPin(status));
  });

  test.each([
    ['63C2', { kind: 'wrong', triesLeft: 2 }],
    ['6983', { kind: 'blocked' }],
  ])('nothing of it is sent behind a current PIN that is answered by %s', async (status, outcome) => {
    const { parts, sent } = asked(['63C3', status]);
    expect(await changePin(parts, pin('1234'), pin('5678'))).toEqual(outcome);
    expect(sent()).toHaveLength(2);
  });

  test('a fault leaves it uncertain, and a bug is none', async () => {
    const failing = (error: Error) => {
      const { transmit } = scripted('63C3', '9000');
      let count = 0;
      return asked([], {
        transmit: (command) => {
          count += 1;
          return count > 2 ? Promise.reject(error) : transmit(command);
        },
      }).parts;
    };
    const gone = new Fault('card-removed', 'gone');
    expect(await changePin(failing(gone), pin('1234'), pin('5678'))).toEqual({
      kind: 'uncertain',
      fault: { code: 'card-removed', message: 'gone' },
    });
    const bug = new TypeError('a bug');
    await expect(changePin(failing(bug), pin('1234'), pin('5678'))).rejects.toBe(bug);
  });
});

describe('a channel', () => {
  test('that does not authenticate answers is told nothing of a PIN', async () => {
    const channel = channelOf((response) => ({
      ...splitResponse(response),
      authentic: false,
      encrypted: false,
    }));
    const { parts, sent } = asked(['63C3'], { channel });
    await expect(verifyPin(parts, pin('1234'))).rejects.toMatchObject({
      code: 'card-message-not-authentic',
      message: 'the channel of the card does not authenticate what the card says of a PIN',
    });
    expect(sent()).toHaveLength(1);
  });

  const throwing = (code: 'card-answer-status' | 'card-message-not-authentic') =>
    channelOf(() => {
      throw new Fault(code, 'bare');
    });

  test.each([
    ['6983', 'card-answer-status', 'blocked'],
    ['6984', 'card-answer-status', 'blocked'],
    ['63C0', 'card-answer-status', 'blocked'],
    ['63C3', 'card-answer-status', 'thrown'],
    ['6982', 'card-answer-status', 'thrown'],
    ['006983', 'card-answer-status', 'thrown'],
    ['698300', 'card-answer-status', 'thrown'],
    ['6983', 'card-message-not-authentic', 'thrown'],
  ] as const)('that a card leaves by %s (%s): %s', async (answer, code, ends) => {
    const verified = verifyPin(asked([answer], { channel: throwing(code) }).parts, pin('1234'));
    if (ends === 'blocked') expect(await verified).toEqual({ kind: 'blocked' });
    else await expect(verified).rejects.toMatchObject({ code });
  });
});
