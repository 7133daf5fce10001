import { expect, test } from 'vitest';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { parseCardProfile } from '#core/card/profile.ts';
import { Fault } from '#core/fault.ts';
import type { VirtualCard } from '#simulators/card/virtual-card.ts';
import { deckCard, pin, powered, session, typeA, typeC } from './rig.ts';

/** A session on a read card, with every command that was sent to it. */
async function opened(
  card: VirtualCard,
  intercept?: (command: Uint8Array, count: number) => Uint8Array | undefined,
) {
  const commands: string[] = [];
  const open = session(async (command) => {
    commands.push(toHex(command));
    return intercept?.(command, commands.length) ?? card.transmit(command);
  });
  expect(await open.read()).toMatchObject({ kind: 'reading' });
  return { open, commands };
}

test('the right PIN adds to the assurance of the reading', async () => {
  const { open } = await opened(powered(deckCard('employee')));
  expect(await open.verifyPin(pin('1234'))).toMatchObject({
    kind: 'verified',
    reading: {
      userNumber: 'E00012345',
      assurance: ['mutual-authentication', 'message-authentication', 'pin'],
    },
  });
});

test('the PIN goes out once, encrypted, after the counter was read', async () => {
  const { open, commands } = await opened(powered(deckCard('employee')));
  await open.verifyPin(pin('1234'));
  const [query = '', verify = '', ...others] = commands.slice(4);
  expect(others).toEqual([]);
  // no data object but the MAC, then DO'87' with padding indicator and one block
  expect(query).toMatch(/^0C2000810A8E08.{16}00$/);
  expect(verify).toMatch(/^0C2000811D871101.{32}8E08.{16}00$/);
  expect(verify).not.toContain(toHex(pin('1234')));
});

test('digits are zeroed whatever happens', async () => {
  const card = powered(deckCard('employee'));
  const { open } = await opened(card);
  for (const entered of ['9999', 'x', '1234', '1234']) {
    const digits = pin(entered);
    await open.verifyPin(digits);
    expect(digits.every((digit) => digit === 0)).toBe(true);
  }
  open.close();
  const late = pin('1234');
  await open.verifyPin(late);
  expect(late.every((digit) => digit === 0)).toBe(true);
});

test('a wrong PIN tells the tries left; with fewer than the profile demands nothing is sent', async () => {
  const card = powered(deckCard('employee'));
  const { open, commands } = await opened(card);
  expect(await open.verifyPin(pin('0000'))).toEqual({ kind: 'wrong', triesLeft: 2 });
  expect(await open.verifyPin(pin('0000'))).toEqual({ kind: 'wrong', triesLeft: 1 });
  const before = commands.length;
  expect(await open.verifyPin(pin('1234'))).toEqual({ kind: 'withheld', triesLeft: 1 });
  expect(commands.length).toBe(before + 1);
});

test('a blocked PIN is told, and not tried', async () => {
  const { open, commands } = await opened(powered(deckCard('blocked-pin')));
  expect(await open.verifyPin(pin('1234'))).toEqual({ kind: 'blocked' });
  expect(commands).toHaveLength(5);
});

test('the try that blocks the PIN is told as blocked', async () => {
  const policy = { ...typeA.pin, minimumTriesLeft: 1 };
  const card = powered(deckCard('employee'));
  const open = session(card.transmit, { profiles: [parseCardProfile({ ...typeA, pin: policy }, 'test')] });
  await open.read();
  expect(await open.verifyPin(pin('0000'))).toEqual({ kind: 'wrong', triesLeft: 2 });
  expect(await open.verifyPin(pin('0000'))).toEqual({ kind: 'wrong', triesLeft: 1 });
  expect(await open.verifyPin(pin('0000'))).toEqual({ kind: 'blocked' });
});

test.each(['123', '123456789', '12a4', '', '１２３４'])(
  '%j is no PIN of the profile: refused, not sent, and the session lives on',
  async (entered) => {
    const { open, commands } = await opened(powered(deckCard('employee')));
    expect(await open.verifyPin(pin(entered))).toMatchObject({
      kind: 'refused',
      fault: { code: 'argument-invalid' },
    });
    expect(commands).toHaveLength(4);
    expect(await open.verifyPin(pin('1234'))).toMatchObject({ kind: 'verified' });
  },
);

test('a verified PIN does not verify another', async () => {
  const { open } = await opened(powered(deckCard('employee')));
  await open.verifyPin(pin('1234'));
  expect(await open.verifyPin(pin('9999'))).toMatchObject({
    kind: 'refused',
    fault: { code: 'argument-invalid' },
  });
});

test('without a channel or without a PIN in the profile there is nothing to verify', async () => {
  const c = session(powered(deckCard('library')).transmit, { profiles: [typeC] });
  await c.read();
  expect(await c.verifyPin(pin('1234'))).toMatchObject({
    kind: 'refused',
    fault: { code: 'card-channel-closed' },
  });
  const { pin: _pin, ...withoutPin } = typeA;
  const a = session(powered(deckCard('employee')).transmit, {
    profiles: [parseCardProfile(withoutPin, 'test')],
  });
  await a.read();
  expect(await a.verifyPin(pin('1234'))).toMatchObject({
    kind: 'refused',
    fault: { code: 'argument-invalid' },
  });
});

test.each([5, 6])(
  'a card removed at exchange %i ends the session and leaves the try on the card',
  async (exchange) => {
    const card = powered(deckCard('employee'));
    card.misbehave({ kind: 'removed', exchange });
    const { open } = await opened(card);
    expect(await open.verifyPin(pin('1234'))).toEqual({ kind: 'removed' });
    expect(await open.verifyPin(pin('1234'))).toMatchObject({
      kind: 'refused',
      fault: { code: 'card-channel-closed' },
    });
  },
);

test('a time-out ends the session', async () => {
  const { open } = await opened(powered(deckCard('employee')), (_command, count) => {
    if (count === 6) throw new Fault('card-timeout', 'late');
    return undefined;
  });
  expect(await open.verifyPin(pin('1234'))).toEqual({ kind: 'timeout' });
});

test.each([
  ['6983', 5, 'blocked'],
  ['6984', 5, 'blocked'],
  ['6983', 6, 'blocked'],
  ['9000', 5, 'refused'],
  ['9000', 6, 'refused'],
  ['63C3', 5, 'refused'],
  ['63C0', 5, 'refused'],
  ['63C2', 6, 'refused'],
  ['6300', 6, 'refused'],
  ['6982', 6, 'refused'],
  ['6A88', 5, 'refused'],
])('a bare %s at exchange %i verifies nothing: %s, and the session is over', async (status, at, kind) => {
  const { open } = await opened(powered(deckCard('employee')), (_command, count) =>
    count === at ? fromHex(status) : undefined,
  );
  expect(await open.verifyPin(pin('1234'))).toMatchObject({ kind });
  expect(await open.verifyPin(pin('1234'))).toMatchObject({
    kind: 'refused',
    fault: { code: 'card-channel-closed' },
  });
});

test('a PIN is asked for after the reading, one at a time', async () => {
  const early = session(powered(deckCard('employee')).transmit);
  await expect(early.verifyPin(pin('1234'))).rejects.toThrow('after the reading');
});
