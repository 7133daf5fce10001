import { describe, expect, it } from 'vitest';
import { Fault } from '#core/fault.ts';
import { BulkOrganizations, type OrganizationWork } from '#issuance/bulk-organizations.ts';
import { Stopped } from '#issuance/permissions/import-run.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

const noLists: OrganizationWork['importer'] = () => ({ recover: async () => {}, work: async () => false });

/** Runs the work of organizations until `until` resolves. */
async function run(
  open: Readonly<Record<string, () => Promise<OrganizationWork>>>,
  until: Promise<unknown>,
): Promise<readonly (readonly [unknown, string | undefined])[]> {
  const errors: [unknown, string | undefined][] = [];
  const bulk = new BulkOrganizations({
    clock: new SimulatedClock({ utcMs: 0 }),
    list: async () => Object.keys(open).map((id) => ({ id })),
    open: async (id) => {
      const work = await open[id]?.();
      if (!work) throw new Error(id);
      return work;
    },
    lookEveryMs: 5,
    onError: (error, organization) => errors.push([error, organization]),
  });
  const running = bulk.run();
  await until;
  bulk.stop();
  await running;
  return errors;
}

describe('bulk work', () => {
  it('of one organization waits for no list of another', async () => {
    const stepped = Promise.withResolvers<void>();
    const long = Promise.withResolvers<boolean>();
    const works = {
      aomori: async () => ({
        steps: [],
        importer: () => ({ recover: async () => {}, work: () => long.promise }),
      }),
      city: async () => ({
        steps: [
          async () => {
            stepped.resolve();
            return false;
          },
        ],
        importer: noLists,
      }),
    };
    const until = stepped.promise.then(() => long.resolve(false));
    expect(await run(works, until)).toEqual([]);
  });

  it('of one organization goes on though another cannot even be opened, or a step of its own fails', async () => {
    const read = Promise.withResolvers<void>();
    const bug = new TypeError('a bug');
    const broken = new Fault('database-invalid', 'damaged');
    let opened = 0;
    const works = {
      aomori: async () => {
        opened += 1;
        throw broken;
      },
      city: async () => ({
        steps: [
          async () => {
            throw bug;
          },
        ],
        importer: () => ({
          recover: async () => {},
          work: async () => {
            if (opened > 2) read.resolve();
            return false;
          },
        }),
      }),
    };
    const errors = await run(works, read.promise);
    expect(errors[0]).toEqual([broken, 'aomori']);
    // told once, and tried again no sooner than in a minute
    expect(errors.filter(([, id]) => id === 'city')).toEqual([[bug, 'city']]);
  });

  it('takes steps between those of a list, and ends a list that is read when it must end', async () => {
    let steps = 0;
    const ended = Promise.withResolvers<unknown>();
    const begun = Promise.withResolvers<void>();
    const works = {
      city: async (): Promise<OrganizationWork> => ({
        steps: [
          async () => {
            steps += 1;
            return false;
          },
        ],
        importer: (pause) => ({
          recover: async () => {},
          work: async () => {
            const before = steps;
            while (steps < before + 3) await pause();
            begun.resolve();
            for (;;) {
              await pause().catch((error: unknown) => {
                ended.resolve(error);
                throw error;
              });
            }
          },
        }),
      }),
    };
    expect(await run(works, begun.promise)).toEqual([]);
    expect(await ended.promise).toBeInstanceOf(Stopped);
  });
});
