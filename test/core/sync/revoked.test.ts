import { describe, expect, it } from 'vitest';
import { retryAfterMs } from '#core/sync/retry.ts';
import { Revoked } from '#core/sync/revoked.ts';

const card = { profileId: 'staff', userNumber: 'A1', status: 'active' as const };
const holder = { holderId: 'sato', status: 'active' as const, groups: ['g'] };

describe('what is revoked ahead of a policy', () => {
  it('suspends the holder, at every policy whose changes do not go as far', () => {
    const revoked = new Revoked();
    revoked.add({ changeNumber: 41, holders: ['sato'], cards: [] });
    expect(revoked.revised({ holder, card }, 40)).toEqual({
      holder: { ...holder, status: 'suspended' },
      card,
    });
    expect(revoked.revised({ holder, card }, 41)).toEqual({ holder, card });
    expect(revoked.revised({ holder: { ...holder, holderId: 'suzuki' }, card }, 40).holder.status).toBe(
      'active',
    );
    expect(revoked.revised({}, 40)).toEqual({});
  });

  it('suspends exactly the card that is named', () => {
    const revoked = new Revoked();
    const one = { profileId: 'staff', userNumber: 'A1', diversifier: '0A' };
    revoked.add({ changeNumber: 41, holders: [], cards: [one] });
    const statusOf = (changes: object) => revoked.revised({ card: { ...card, ...changes } }, 40).card.status;
    expect(statusOf({ diversifier: '0A' })).toBe('suspended');
    for (const other of [
      {},
      { diversifier: '0B' },
      { diversifier: '0A', userNumber: 'A2' },
      { diversifier: '0A', profileId: 'library' },
    ])
      expect(statusOf(other)).toBe('active');
  });

  it('goes by the last of several, makes nobody active, and is forgotten once a policy has it', () => {
    const revoked = new Revoked();
    revoked.add({ changeNumber: 45, holders: ['sato'], cards: [] });
    revoked.add({ changeNumber: 41, holders: ['sato', 'ito'], cards: [] });
    expect(revoked.revised({ holder }, 44).holder.status).toBe('suspended');
    const ended = { ...holder, status: 'ended' as const };
    expect(revoked.revised({ holder: ended }, 40).holder.status).toBe('ended');
    revoked.drop(41);
    expect(revoked.revised({ holder: { ...holder, holderId: 'ito' } }, 40).holder.status).toBe('active');
    expect(revoked.revised({ holder }, 40).holder.status).toBe('suspended');
  });
});

it('tries come later each time, and not all at once', () => {
  expect([1, 2, 3, 4].map((failures) => retryAfterMs(failures, 0))).toEqual([1_000, 2_000, 4_000, 8_000]);
  expect(retryAfterMs(3, 0.5)).toBe(3_000);
  expect(retryAfterMs(1_000, 0)).toBe(300_000);
  expect(retryAfterMs(0, 0)).toBe(1_000);
});
