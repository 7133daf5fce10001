import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  brokerUsername,
  issuanceUsername,
  parseBrokerUsername,
  terminalName,
} from '#core/sync/terminal-identity.ts';
import { downKinds, downTopic, parseDownTopic, parseUpTopic, upKinds, upTopic } from '#core/sync/topics.ts';

const name = fc.stringMatching(/^[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?$/);
const identity = fc.record({ organization: name, terminal: name });

describe('names of terminals', () => {
  it.each(['a', '1', 'lobby-2', 'x'.repeat(32)])('%s is one', (text) => {
    expect(terminalName.safeParse(text).success).toBe(true);
  });

  it.each([
    '',
    '-a',
    'a-',
    'Lobby',
    'a.b',
    'a_b',
    'a b',
    'a/b',
    'a+b',
    'a#',
    'a,O=ward',
    'a=b',
    'ロビー',
    'x'.repeat(33),
    'a\n',
    '\u0000',
    '123456789018',
  ])('%j is none', (text) => {
    expect(terminalName.safeParse(text).success).toBe(false);
  });

  it('come back from what a broker calls them', () => {
    fc.assert(
      fc.property(identity, (one) => {
        expect(parseBrokerUsername(brokerUsername(one))).toEqual(one);
      }),
    );
  });

  it.each([
    issuanceUsername,
    '',
    'CN=lobby',
    'O=city',
    'O=city,CN=lobby',
    'CN=lobby,O=City',
    'CN=lobby,O=city,O=ward',
    'CN=lobby, O=city',
    'cn=lobby,o=city',
    'CN=lobby+O=city',
    'CN=a\\,b,O=city',
    ' CN=lobby,O=city',
    'CN=lobby,O=city\n',
  ])('%j is nobody', (username) => {
    expect(parseBrokerUsername(username)).toBeUndefined();
  });
});

describe('topics', () => {
  it('say who tells what, and who is told what', () => {
    fc.assert(
      fc.property(identity, fc.constantFrom(...upKinds), fc.constantFrom(...downKinds), (one, up, down) => {
        expect(parseUpTopic(upTopic(one, up))).toEqual({ from: one, kind: up });
        expect(parseDownTopic(downTopic(one, down))).toEqual({ to: one, kind: down });
        expect(parseUpTopic(downTopic(one, down))).toBeUndefined();
        expect(parseDownTopic(upTopic(one, up))).toBeUndefined();
      }),
    );
  });

  it.each([
    'k1/CN=lobby,O=city/up',
    'k1/CN=lobby,O=city/up/journal/x',
    'k2/CN=lobby,O=city/up/journal',
    '/k1/CN=lobby,O=city/up/journal',
    'k1/CN=lobby,O=city/up/other',
    'k1/+/up/journal',
    'k1/CN=lobby,O=city/up/#',
    'k1//up/journal',
    'k1/CN=issuance/up/journal',
  ])('%s is none', (topic) => {
    expect(parseUpTopic(topic)).toBeUndefined();
    expect(parseDownTopic(topic.replace('/up', '/down').replace('journal', 'manifest'))).toBeUndefined();
  });
});
