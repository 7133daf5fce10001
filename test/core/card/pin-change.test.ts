import { expect, test } from 'vitest';
import { toHex } from '#core/bytes/bytes.ts';
import { changePin } from '#core/card/pin.ts';
import { parseCardProfile } from '#core/card/profile.ts';
import { Fault } from '#core/fault.ts';
import type { VirtualCard } from '#simulators/card/virtual-card.ts';
import { deckCard, pin, powered, session, typeA } from './rig.ts';

async function opened(card: VirtualCard, intercept?: (count: number) => Promise<Uint8Array> | undefined) {
  const commands: string[] = [];
  const open = session(async (command) => {
    commands.push(toHex(command));
    return intercept?.(commands.length) ?? card.transmit(command);
  });
  expect(await open.read()).toMatchObject({ kind: 'reading' });
  return { open, commands };
}

async function verifies(card: VirtualCard, digits: string): Promise<boolean> {
  card.reset();
  const open = session(card.transmit);
  await open.read();
  return (await open.verifyPin(pin(digits))).kind === 'verified';
}

test('the old PIN is no longer good, the new one is', async () => {
  const card = powered(deckCard('employee'));
  const { open } = await opened(card);
  expect(await open.changePin(pin('1234'), pin('567890'))).toEqual({ kind: 'changed' });
  expect(await verifies(card, '567890')).toBe(true);
  expect(await verifies(card, '1234')).toBe(false);
});

test('each goes out once, encrypted, after the counter was read, though the profile only authenticates', async () => {
  const { open, commands } = await opened(powered(deckCard('employee')));
  await open.changePin(pin('1234'), pin('5678'));
  const [query = '', verify = '', change = '', ...others] = commands.slice(4);
  expect(others).toEqual([]);
  expect(query).toMatch(/^0C2000810A8E08.{16}00$/);
  expect(verify).toMatch(/^0C2000811D871101.{32}8E08.{16}00$/);
  expect(change).toMatch(/^0C2400811D871101.{32}8E08.{16}00$/);
  expect(commands.join()).not.toMatch(/31323334|35363738/);
});

test('a current PIN mistyped with another length changes nothing: the card would split it elsewhere', async () => {
  const card = powered(deckCard('employee'));
  const { open } = await opened(card);
  expect(await open.changePin(pin('12345'), pin('6789'))).toEqual({ kind: 'wrong', triesLeft: 2 });
  expect(await verifies(card, '1234')).toBe(true);
});

test('both PINs are zeroed whatever happens', async () => {
  const { open } = await opened(powered(deckCard('employee')));
  for (const [old, next] of [
    ['9999', '5678'],
    ['x', '5678'],
    ['1234', '1234'],
    ['1234', '5678'],
  ]) {
    const [current, fresh] = [pin(old ?? ''), pin(next ?? '')];
    await open.changePin(current, fresh);
    expect([...current, ...fresh].every((digit) => digit === 0)).toBe(true);
  }
  open.close();
  const late = pin('1234');
  expect(await open.changePin(late, pin('5678'))).toMatchObject({ kind: 'refused' });
  expect(late.every((digit) => digit === 0)).toBe(true);
});

test('a wrong old PIN costs one try and changes nothing; with too few left nothing is sent', async () => {
  const card = powered(deckCard('employee'));
  const { open, commands } = await opened(card);
  expect(await open.changePin(pin('0000'), pin('5678'))).toEqual({ kind: 'wrong', triesLeft: 2 });
  expect(await open.changePin(pin('0000'), pin('5678'))).toEqual({ kind: 'wrong', triesLeft: 1 });
  const before = commands.length;
  expect(await open.changePin(pin('1234'), pin('5678'))).toEqual({ kind: 'withheld', triesLeft: 1 });
  expect(commands).toHaveLength(before + 1);
});

test('a blocked PIN is not changed', async () => {
  const { open } = await opened(powered(deckCard('blocked-pin')));
  expect(await open.changePin(pin('1234'), pin('5678'))).toEqual({ kind: 'blocked' });
});

test.each([
  ['123', '5678'],
  ['1234', '123456789'],
  ['1234', '56a8'],
  ['1234', '1234'],
])('from %s to %s nothing is sent, and the session lives on', async (old, next) => {
  const card = powered(deckCard('employee'));
  const { open, commands } = await opened(card);
  expect(await open.changePin(pin(old), pin(next))).toMatchObject({
    kind: 'refused',
    fault: { code: 'argument-invalid' },
  });
  expect(commands).toHaveLength(4);
  expect(await open.changePin(pin('1234'), pin('4321'))).toEqual({ kind: 'changed' });
});

test('a verified PIN and a profile without one are refused', async () => {
  const { open } = await opened(powered(deckCard('employee')));
  await open.verifyPin(pin('1234'));
  expect(await open.changePin(pin('1234'), pin('5678'))).toMatchObject({ kind: 'refused' });
  const { pin: _pin, ...withoutPin } = typeA;
  const a = session(powered(deckCard('employee')).transmit, {
    profiles: [parseCardProfile(withoutPin, 'test')],
  });
  await a.read();
  expect(await a.changePin(pin('1234'), pin('5678'))).toMatchObject({ kind: 'refused' });
});

test('what breaks off before the change is nothing; what breaks off during it is uncertain', async () => {
  for (const [at, kind] of [
    [5, 'removed'],
    [6, 'removed'],
    [7, 'uncertain'],
  ] as const) {
    const card = powered(deckCard('employee'));
    card.misbehave({ kind: 'removed', exchange: at });
    const { open } = await opened(card);
    const outcome = await open.changePin(pin('1234'), pin('5678'));
    expect(outcome).toMatchObject(
      kind === 'uncertain' ? { kind, fault: { code: 'card-removed' } } : { kind },
    );
    // the virtual card works on a command before it leaves, as a real one may
    card.behave();
    card.powerOn();
    expect(await verifies(card, kind === 'uncertain' ? '5678' : '1234')).toBe(true);
    expect(await open.verifyPin(pin('1234'))).toMatchObject({ kind: 'refused' });
  }
});

test.each([
  ['a time-out', () => Promise.reject(new Fault('card-timeout', 'late'))],
  ['a bare success', () => Promise.resolve(Uint8Array.of(0x90, 0x00))],
  ['a bare refusal', () => Promise.resolve(Uint8Array.of(0x69, 0x82))],
  ['a bare blocked PIN', () => Promise.resolve(Uint8Array.of(0x69, 0x83))],
  ['garbage', () => Promise.resolve(Uint8Array.of(0x01))],
])('%s in answer to the change is uncertain, and the session is over', async (_name, answer) => {
  const { open } = await opened(powered(deckCard('employee')), (count) =>
    count === 7 ? answer() : undefined,
  );
  expect(await open.changePin(pin('1234'), pin('5678'))).toMatchObject({ kind: 'uncertain' });
  expect(await open.changePin(pin('1234'), pin('5678'))).toMatchObject({
    fault: { code: 'card-channel-closed' },
  });
});

/** Asks for a change of a card that answers CHANGE REFERENCE DATA with an authentic `status`. */
async function changeAnswered(status: number) {
  const answers = [0x63c3, 0x9000, status];
  const reading = await session(powered(deckCard('employee')).transmit).read();
  if (reading.kind !== 'reading') throw new Error('the card was not read');
  const channel = {
    wrap: () => new Uint8Array(),
    unwrap: () => ({
      data: new Uint8Array(),
      status: answers.shift() ?? 0,
      authentic: true,
      encrypted: false,
    }),
    close: () => undefined,
  };
  const parts = { profile: typeA, channel, reading: reading.reading, transmit: async () => new Uint8Array() };
  return changePin(parts, pin('1234'), pin('5678'));
}

test.each([0x6a80, 0x6985, 0x6982, 0x6983, 0x63c2, 0x6400])(
  'an authentic %i to the change refuses it: the PIN is as it was',
  async (status) => {
    await expect(changeAnswered(status)).rejects.toMatchObject({ code: 'card-answer-status' });
  },
);

test.each([0x6300, 0x6200, 0x6581])(
  'an authentic %i to the change, after which the memory may have changed, is uncertain',
  async (status) => {
    expect(await changeAnswered(status)).toMatchObject({
      kind: 'uncertain',
      fault: { code: 'card-answer-status' },
    });
  },
);
