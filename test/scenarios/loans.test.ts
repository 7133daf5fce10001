import { expect } from 'vitest';
import { changed, counter, counterRules, one, other } from './counter.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('Counting');

const library = counterRules('services: [{ id: library, kind: loan, limit: 2 }]');
const desk = Object.fromEntries(
  ['book', 'map', 'key'].flatMap((item) =>
    ['lend', 'return'].map((action) => [
      `${action}-${item}`,
      `service: { id: library, action: ${action}, item: ${item} }`,
    ]),
  ),
);

rule('loan', {
  passes: {
    'what is there to one holder, and back; nothing of a person stays then': async () => {
      const b = await counter(library, desk);
      const lent = await b.lets(one, 'lend-book');
      expect(changed(lent, 'loan/library/book')).toMatchObject({ value: { out: true } });
      const back = await b.lets(one, 'return-book');
      expect(changed(back, 'loan/library/book')).toEqual({});
      expect(changed(back, 'loans/library')).toEqual({});
      await b.lets(other, 'lend-book');
    },
  },
  denies: {
    'what is out, more than the limit, and what somebody else has': async () => {
      const b = await counter(library, desk);
      await b.refuses(one, 'return-book', 'item-not-lent');
      await b.lets(one, 'lend-book');
      await b.refuses(one, 'lend-book', 'item-lent');
      await b.refuses(other, 'lend-book', 'item-lent');
      await b.refuses(other, 'return-book', 'item-not-lent');
      await b.lets(one, 'lend-map');
      await b.refuses(one, 'lend-key', 'loan-limit');
      await b.lets(other, 'lend-key');
    },
    'a loan to whom the door did not open': async () => {
      const b = await counter(library, desk);
      b.door('front').misbehave({ stuck: 'locked' });
      await b.tap(one, 'lend-book');
      b.door('front').misbehave({});
      await b.later('10 s');
      await b.refuses(one, 'return-book', 'item-not-lent');
      await b.lets(other, 'lend-book');
    },
    'what it cannot be asked for': async () => {
      const b = await counter(library, { desk: 'service: { id: library }' });
      await b.refuses(one, 'desk', 'service-unknown');
    },
  },
  afterReboot: {
    stays: async () => {
      const b = await counter(library, desk);
      await b.lets(one, 'lend-book');
      await b.lets(one, 'lend-map', { stays: true });
      await b.crash();
      await b.refuses(other, 'lend-map', 'item-lent');
      await b.refuses(one, 'lend-key', 'loan-limit');
      await b.reboot();
      await b.lets(one, 'return-map');
      await b.lets(other, 'lend-map');
    },
  },
  untrustedClock: {
    'is the same: no time ends a loan': async () => {
      const b = await counter(library, desk);
      b.untrustedClock();
      await b.lets(one, 'lend-book');
      b.stepClock('3650 d');
      await b.refuses(other, 'lend-book', 'item-lent');
      b.stepClock('-7300 d');
      await b.lets(one, 'return-book');
    },
  },
});
