import { describe, expect, it } from 'vitest';
import {
  decodeLiveEvents,
  encodeLiveEvents,
  type LiveEvents,
  maximumLiveBytes,
  mostLiveEvents,
} from '#core/sync/live-events.ts';

const from = { organization: 'city', terminal: 'gate' };
const event: LiveEvents['events'][number] = {
  incarnation: 'first',
  sequence: 7,
  atMs: 1_775_000_000_000,
  clock: 'trusted',
  kind: 'alarm',
  body: { alarm: 'door-forced', on: true, door: 'north', more: [1, null, { a: 'b' }] },
};
const live: LiveEvents = { ...from, events: [event, { ...event, sequence: 8, tapId: '0'.repeat(32) }] };
const decode = (events: LiveEvents, by = from) => decodeLiveEvents(encodeLiveEvents(events), by);

describe('live events', () => {
  it('arrive as they were sent', () => {
    expect(decode(live)).toEqual({ kind: 'accepted', value: live });
  });

  it('are refused of another terminal or organization', () => {
    expect(decode(live, { ...from, terminal: 'side' })).toMatchObject({ reason: 'other-terminal' });
    expect(decode(live, { ...from, organization: 'town' })).toMatchObject({ reason: 'other-organization' });
  });

  it('are refused without any, with too many, too large, and cut off anywhere', () => {
    const malformed = { kind: 'refused', reason: 'malformed' };
    expect(decode({ ...live, events: [] })).toEqual(malformed);
    expect(decode({ ...live, events: Array(mostLiveEvents).fill(event) })).toMatchObject({
      kind: 'accepted',
    });
    expect(decode({ ...live, events: Array(mostLiveEvents + 1).fill(event) })).toEqual(malformed);
    const large = { ...event, body: { text: 'x'.repeat(maximumLiveBytes) } };
    expect(decode({ ...live, events: [large] })).toMatchObject({ reason: 'oversize' });
    const sent = encodeLiveEvents(live);
    for (let length = 0; length < sent.length; length += 1) {
      expect(decodeLiveEvents(sent.subarray(0, length), from)).toEqual(malformed);
    }
  });
});
