import { describe, expect, it } from 'vitest';
import {
  offlineFromMs,
  readTerminalState,
  stateEveryMs,
  type TerminalState,
  terminalStateBytes,
} from '#core/sync/presence.ts';

const head = { type: 'terminal-state', format: 1 } as const;
const device = {
  terminal: 'lobby',
  versions: { kazasu: '1.0.0' },
  startedAtMs: 1,
  clock: { utcMs: 2, trusted: true, floorMs: 0 },
  journal: { writable: true, sequence: 3, space: { level: 'ample', daysLeft: 400.5 } },
  doors: [],
  readers: [{ reader: 'in', door: 'front', ready: true }],
  faults: [],
};
const places = { doors: ['front'], zones: ['office'], services: [] };
const policy = {
  installed: { rootVersion: 1, version: 7, changeNumber: 40, issuedAtMs: 1, expiresAtMs: 2 },
  reached: { version: { rootVersion: 1, number: 7 }, changes: { rootVersion: 1, number: 41 } },
  fetching: 8,
  rootVersion: 1,
  altered: false,
  lastRefusal: { of: 'manifest', reason: 'older', atMs: 3 },
};
const here: TerminalState = { ...head, presence: 'here', device, places, policy };
const gone = (why: 'stopped' | 'lost'): TerminalState => ({ ...head, presence: 'gone', why });

describe('what a terminal says of itself', () => {
  it.each([here, { ...here, policy: undefined }, gone('stopped'), gone('lost')])(
    'is read as it was written: %o',
    (state) => {
      expect(readTerminalState(terminalStateBytes(state))).toEqual(state);
    },
  );

  it.each(['', 'a\0b', 'an incarnation', 'x'.repeat(65)])(
    'is not read where its journal is called what no database may be asked for: %o',
    (incarnation) => {
      expect(readTerminalState(terminalStateBytes({ ...here, incarnation: 'x' }))).toMatchObject({
        incarnation: 'x',
      });
      expect(readTerminalState(terminalStateBytes({ ...here, incarnation }))).toBeUndefined();
    },
  );

  it('is read without what a later program adds', () => {
    const later = { ...here, more: 1, device: { ...device, temperature: 40 } };
    expect(readTerminalState(new TextEncoder().encode(JSON.stringify(later)))).toEqual(here);
  });

  it.each(['', '{', 'null', '{"type":"terminal-state","format":2,"presence":"here"}', '{"presence":"gone"}'])(
    'is none: %s',
    (text) => expect(readTerminalState(new TextEncoder().encode(text))).toBeUndefined(),
  );

  it('counts as offline at once where it says so, and otherwise never before it could have said more', () => {
    expect(offlineFromMs(gone('stopped'), 1_000)).toBe(1_000);
    expect(offlineFromMs(gone('lost'), 1_000)).toBeGreaterThan(1_000 + stateEveryMs);
    expect(offlineFromMs(here, 1_000)).toBeGreaterThan(1_000 + 2 * stateEveryMs);
  });
});
