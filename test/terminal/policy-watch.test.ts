import { afterEach, expect, it } from 'vitest';
import { doorSettingsSchema } from '#core/access/door-settings.ts';
import { doorRules } from '../policy-slices.ts';
import { Bench } from './terminal-fixture.ts';

let bench: Bench;
afterEach(() => bench.terminal.stop());

const lacks = () =>
  bench.journal.records.filter(({ body }) => body.alarm === 'policy-lacks').map(({ body }) => body);

it('what a configuration counts on and the policy lacks is told at the start, when it changes, and when it is over', async () => {
  const settings = doorSettingsSchema.parse({});
  bench = new Bench({
    settings: {
      doors: [
        { doorId: 'door-1', settings, zones: ['lab'] },
        { doorId: 'door-2', settings },
      ],
      readers: [{ readerId: 'r1', readerName: 'reader-1', doorId: 'door-1', service: { id: 'work' } }],
    },
  });
  const named = (zone: string, service: string) =>
    bench.policy.doors.set(
      'door-1',
      doorRules({ id: 'door-1' }, { zones: [{ id: zone }], services: [{ id: service, kind: 'attendance' }] }),
    );
  named('labo', 'work');
  await bench.terminal.start();
  await bench.settle();
  const labo = { alarm: 'policy-lacks', door: 'door-1', on: true, zones: ['lab'], services: [] };
  expect(lacks()).toEqual([labo]);

  await bench.clock.advanceAsync(120_000);
  expect(lacks()).toHaveLength(1);
  named('lab', 'works');
  await bench.clock.advanceAsync(60_000);
  expect(lacks().at(-1)).toEqual({ ...labo, zones: [], services: ['work'] });
  named('lab', 'work');
  await bench.clock.advanceAsync(60_000);
  expect(lacks().at(-1)).toEqual({ alarm: 'policy-lacks', door: 'door-1', on: false });
  expect(lacks()).toHaveLength(3);
});
