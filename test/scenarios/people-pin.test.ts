import { expect } from 'vitest';
import { building } from './building.ts';
import { typeA, typeC } from './cards.ts';
import { hana, ken, peopleSite, type SiteParts } from './people.ts';
import { rulesOf } from './rule.ts';

const rule = rulesOf('People and zones');

const threatenedAt = (parts: SiteParts = {}) =>
  peopleSite({ site: 'duress: { digit: 9 }', front: 'assurance: [mutual-authentication, pin]', ...parts });

rule('duress', {
  passes: {
    'as ever, and staff is told': async () => {
      const b = await threatenedAt();
      const tapped = await b.lets(hana, 'front-in', { pin: '12349', stays: true });
      expect([tapped.alarms, b.alarms()]).toEqual([['duress'], ['duress']]);
      expect(b.shown('front-in')).toBe('granted');
      await b.later('1 min');
      const plain = await b.lets(hana, 'front-in', { pin: '1234' });
      expect([plain.alarms, b.alarms()]).toEqual([[], ['duress']]);
    },
  },
  denies: {
    'with any other digit too many, without asking the card, which loses no try': async () => {
      const b = await threatenedAt();
      for (const pin of ['12348', '12340', '12341', '12342'])
        await b.refuses(hana, 'front-in', 'pin-wrong', { pin });
      await b.lets(hana, 'front-in', { pin: '1234' });
      expect(b.alarms()).toEqual([]);
    },
    'where PINs have several lengths: none can be told there': async () => {
      const b = await threatenedAt({ pinDigits: [4, 8] });
      await b.refuses(hana, 'front-in', 'pin-wrong', { pin: '12349' });
      expect(b.alarms()).toEqual([]);
    },
    'a wrong PIN as ever, and more than one person; staff is told all the same': async () => {
      const wrong = await threatenedAt();
      const denied = await wrong.refuses(hana, 'front-in', 'pin-wrong', { pin: '99999' });
      expect([denied.alarms, wrong.alarms()]).toEqual([['duress'], ['duress']]);
      const b = await threatenedAt({ front: 'assurance: [mutual-authentication, pin], twoPerson: {}' });
      const waits = await b.keepsWaiting(hana, 'front-in', 'second-person', { pin: '12349' });
      expect([waits.alarms, b.alarms()]).toEqual([['duress'], ['duress']]);
    },
  },
  afterReboot: {
    'the digit means the same': async () => {
      const b = await threatenedAt();
      await b.crash();
      await b.lets(hana, 'front-in', { pin: '12349' });
      await b.reboot();
      expect(b.alarms()).toEqual(['duress']);
    },
  },
  untrustedClock: {
    'the digit means the same': async () => {
      const b = await threatenedAt();
      b.untrustedClock();
      b.stepClock('-1 d');
      await b.lets(hana, 'front-in', { pin: '12349' });
      expect(b.alarms()).toEqual(['duress']);
    },
  },
});

const strict = (lockOut: string, parts: SiteParts = {}) =>
  peopleSite({ site: `lockOut: { ${lockOut} }`, ...parts });
const reader = 'reader: { after: 2, within: 10 min, first: 1 min, longest: 4 min }';
const holder = 'holder: { after: 2, within: 10 min, first: 1 min, longest: 4 min }';
const withPin: SiteParts = { front: 'assurance: [mutual-authentication, pin]' };
const unknown = '99999';

/** Hana has a card of Type A, and a number on one of Type C that anyone could copy. */
const twoCards = () =>
  building({
    rules: `
      profiles:
        - { id: ${typeA}, userNumberFormat: { alphabet: digits, minimumLength: 5, maximumLength: 5 } }
        - { id: ${typeC}, userNumberFormat: { alphabet: digits, minimumLength: 5, maximumLength: 5 } }
      groups: [staff]
      doors: [{ id: front }, { id: lab, assurance: [] }]
      permissions: [{ group: staff, door: front }]
      lockOut: { holder: { after: 2, reasons: [no-permission] } }`,
    holders: `user_number,profile,holder,groups
      ${hana},${typeA},hana,staff
      20001,${typeC},hana,staff`,
  });

rule('lock-out', {
  passes: {
    'a holder whose number, which proves nothing, has failed too often': async () => {
      const b = await twoCards();
      for (let n = 0; n < 3; n += 1) await b.refuses('20001', 'lab-in', 'no-permission', { profile: typeC });
      await b.lets(hana, 'front-in');
      for (let n = 0; n < 2; n += 1) await b.refuses(hana, 'lab-in', 'no-permission');
      await b.refuses(hana, 'front-in', 'locked-out');
    },
    'whoever fails less, or not within the time': async () => {
      const b = await strict(reader);
      await b.refuses(unknown, 'front-in', 'user-number-unknown');
      await b.later('11 min');
      await b.refuses(unknown, 'front-in', 'user-number-unknown');
      await b.lets(hana, 'front-in');
    },
    'at other readers, and at this one when the time is over': async () => {
      const b = await strict(reader);
      await b.refuses(hana, 'front-in', 'card-refused', { forged: true });
      await b.refuses(unknown, 'front-in', 'user-number-unknown');
      await b.lets(ken, 'front-out');
      await b.refuses(ken, 'front-in', 'locked-out');
      await b.later('1 min');
      await b.lets(ken, 'front-in');
    },
    'a holder whose grant came before the failure that was one too many': async () => {
      const b = await strict(holder, withPin);
      await b.refuses(hana, 'front-in', 'pin-wrong', { pin: '0000' });
      await b.lets(hana, 'front-in', { pin: '1234' });
      await b.refuses(hana, 'front-in', 'pin-wrong', { pin: '0000' });
      await b.lets(hana, 'front-in', { pin: '1234' });
    },
  },
  denies: {
    'everybody at a reader where too much has failed, and staff is told once': async () => {
      const b = await strict(reader);
      await b.refuses(unknown, 'front-in', 'user-number-unknown');
      const last = await b.refuses(unknown, 'front-in', 'user-number-unknown');
      expect(last.alarms).toEqual(['locked-out']);
      await b.refuses(hana, 'front-in', 'locked-out');
      await b.refuses(unknown, 'front-in', 'locked-out');
      expect(b.alarms()).toEqual(['locked-out']);
    },
    'no longer for failures meanwhile': async () => {
      const b = await strict(reader);
      for (let n = 0; n < 2; n += 1) await b.refuses(hana, 'front-in', 'card-refused', { forged: true });
      await b.later('50 s');
      for (let n = 0; n < 3; n += 1) await b.refuses(hana, 'front-in', 'card-refused', { forged: true });
      await b.later('10 s');
      await b.lets(hana, 'front-in');
      expect(b.alarms()).toEqual(['locked-out']);
    },
    'twice as long each time, up to the longest; after as long without any it starts over': async () => {
      const b = await strict(reader);
      const fail = async () => {
        for (let n = 0; n < 2; n += 1) await b.refuses(unknown, 'front-in', 'user-number-unknown');
      };
      for (const minutes of [1, 2, 4, 4]) {
        await fail();
        await b.later(`${minutes * 60 - 1} s`);
        await b.refuses(hana, 'front-in', 'locked-out');
        await b.later('1 s');
      }
      await b.later('5 min');
      await fail();
      await b.later('1 min');
      await b.lets(hana, 'front-in');
    },
    'a holder at every door, for failures of a card that has proven itself': async () => {
      const b = await strict(holder, { ...withPin, lab: 'assurance: [mutual-authentication]' });
      await b.refuses(hana, 'front-in', 'card-refused', { forged: true });
      await b.refuses(hana, 'front-in', 'card-refused', { forged: true });
      await b.refuses(hana, 'front-in', 'pin-wrong', { pin: '0000' });
      await b.lets(hana, 'lab-in');
      for (const pin of ['0001', '0002']) await b.refuses(ken, 'front-in', 'pin-wrong', { pin });
      await b.refuses(ken, 'lab-in', 'locked-out');
      await b.lets(hana, 'lab-out');
    },
  },
  afterReboot: {
    'it is over: failures count of one boot': async () => {
      const b = await strict(`${reader}, ${holder}`);
      await b.refuses(unknown, 'front-in', 'user-number-unknown');
      await b.refuses(unknown, 'front-in', 'user-number-unknown');
      await b.refuses(hana, 'front-in', 'locked-out');
      await b.crash({ off: '1 s' });
      await b.lets(hana, 'front-in');
      await b.refuses(unknown, 'front-in', 'user-number-unknown');
      await b.reboot({ off: '1 s' });
      await b.refuses(unknown, 'front-in', 'user-number-unknown');
      await b.lets(hana, 'front-in');
    },
  },
  untrustedClock: {
    'it lasts as long, whatever the clock shows': async () => {
      const b = await strict(reader);
      b.untrustedClock();
      await b.refuses(unknown, 'front-in', 'user-number-unknown');
      b.stepClock('1 d');
      await b.refuses(unknown, 'front-in', 'user-number-unknown');
      b.stepClock('1 d');
      await b.refuses(hana, 'front-in', 'locked-out');
      b.stepClock('-3 d');
      await b.later('1 min');
      await b.lets(hana, 'front-in');
    },
  },
});
