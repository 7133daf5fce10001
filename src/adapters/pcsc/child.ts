/** The process in which pcsclite lives: started and supervised by PcscReaders. */
import { linkToParent } from '#adapters/process/child-main.ts';
import type { ChildOffer, ParentOffer } from './messages.ts';
import { ServiceRunner } from './service-runner.ts';
import { warmUp } from './warm-up.ts';

let service: ServiceRunner | undefined;

const monotonicUs = (): number => Number(process.hrtime.bigint() / 1_000n);

function configured(): ServiceRunner {
  if (!service) throw new Error('not configured');
  return service;
}

const offer: ChildOffer = {
  configure: (configuration) => {
    service = new ServiceRunner({
      configuration,
      notify: (notice, argument) => link.notify(notice, argument as never),
      cardKeys: async (request) => {
        // sending takes time that the card can work in: whatever the session sends the card now goes first
        await undefined;
        return link.call('cardKeys', request, configuration.tapDeadlineMs);
      },
      monotonicUs,
      exit: () => process.exit(0),
    });
    service.start();
    const profiles = new Set(configuration.readers.flatMap((reader) => reader.profiles));
    void warmUp([...profiles], monotonicUs);
  },
  verifyPin: ({ tapId, digits }) => configured().verifyPin(tapId, digits),
  end: (tapId) => configured().end(tapId),
};
const link = linkToParent<ParentOffer>(offer, () => process.exit(0));
