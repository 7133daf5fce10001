import { describe, expect, it } from 'vitest';
import { retryAfterMs } from '#core/sync/retry.ts';
import { Revoked } from '#core/sync/revoked.ts';

const card = { profileId: 'staff', userNumber: 'A1', status: 'active' as const };
const at = (changeNumber: number, rootVersion = 1) => ({ rootVersion, changeNumber });
const holder = { holderId: 'sato', status: 'active' as const, groups: ['g'] };

describe('what is revoked ahead of a policy', () => {
  it('suspends the holder, at every policy whose changes do not go as far', () => {
    const revoked = new Revoked();
    revoked.add({ ...at(41), holders: ['sato'], cards: [] });
    expect(revoked.revised({ holder, card }, at(40))).toEqual({
      holder: { ...holder, status: 'suspended' },
      card,
    });
    expect(revoked.revised({ holder, card }, at(41))).toEqual({ holder, card });
    expect(revoked.revised({ holder: { ...holder, holderId: 'suzuki' }, card }, at(40)).holder.status).toBe(
      'active',
    );
    expect(revoked.revised({}, at(40))).toEqual({});
  });

  it('suspends exactly the card that is named', () => {
    const revoked = new Revoked();
    const one = { profileId: 'staff', userNumber: 'A1', diversifier: '0A' };
    revoked.add({ ...at(41), holders: [], cards: [one] });
    const statusOf = (changes: object) =>
      revoked.revised({ card: { ...card, ...changes } }, at(40)).card.status;
    expect(statusOf({ diversifier: '0A' })).toBe('suspended');
    for (const other of [
      {},
      { diversifier: '0B' },
      { diversifier: '0A', userNumber: 'A2' },
      { diversifier: '0A', profileId: 'library' },
    ])
      expect(statusOf(other)).toBe('active');
  });

  it('names the holder, not the card, of whoever is suspended once more', () => {
    const revoked = new Revoked();
    revoked.add({ ...at(41), holders: ['sato'], cards: [{ profileId: 'staff', userNumber: 'A1' }] });
    for (const status of ['active', 'suspended', 'ended'] as const) {
      const { status: left } = revoked.revised({ holder: { ...holder, status }, card }, at(40)).holder;
      expect(left).toBe(status === 'active' ? 'suspended' : status);
      expect(revoked.revised({ holder: { ...holder, status }, card }, at(40)).card).toEqual(card);
    }
  });

  it('is forgotten with the keys that said it, however far they counted', () => {
    const revoked = new Revoked();
    revoked.add({ ...at(Number.MAX_SAFE_INTEGER), holders: ['sato'], cards: [] });
    expect(revoked.revised({ holder }, at(50)).holder.status).toBe('suspended');
    revoked.add({ ...at(51, 2), holders: ['ito'], cards: [] });
    expect(revoked.revised({ holder }, at(50, 2)).holder.status).toBe('active');
    revoked.drop(at(50, 2));
    expect(revoked.revised({ holder }, at(50)).holder.status).toBe('active');
    expect(revoked.revised({ holder: { ...holder, holderId: 'ito' } }, at(50, 2)).holder.status).toBe(
      'suspended',
    );
  });

  it('goes by the last of several, makes nobody active, and is forgotten once a policy has it', () => {
    const revoked = new Revoked();
    revoked.add({ ...at(45), holders: ['sato'], cards: [] });
    revoked.add({ ...at(41), holders: ['sato', 'ito'], cards: [] });
    expect(revoked.revised({ holder }, at(44)).holder.status).toBe('suspended');
    const ended = { ...holder, status: 'ended' as const };
    expect(revoked.revised({ holder: ended }, at(40)).holder.status).toBe('ended');
    revoked.drop(at(41));
    expect(revoked.revised({ holder: { ...holder, holderId: 'ito' } }, at(40)).holder.status).toBe('active');
    expect(revoked.revised({ holder }, at(40)).holder.status).toBe('suspended');
  });
});

it('tries come later each time, and not all at once', () => {
  expect([1, 2, 3, 4].map((failures) => retryAfterMs(failures, 0))).toEqual([1_000, 2_000, 4_000, 8_000]);
  expect(retryAfterMs(3, 0.5)).toBe(3_000);
  expect(retryAfterMs(1_000, 0)).toBe(300_000);
  expect(retryAfterMs(0, 0)).toBe(1_000);
});
