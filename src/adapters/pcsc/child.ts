/** The process in which pcsclite lives: started and supervised by PcscReaders. */
import { linkToParent } from '#adapters/process/child-main.ts';
import type { ChildOffer, ParentOffer } from './messages.ts';
import { ServiceRunner } from './service-runner.ts';

let service: ServiceRunner | undefined;

function configured(): ServiceRunner {
  if (!service) throw new Error('not configured');
  return service;
}

const offer: ChildOffer = {
  configure: (configuration) => {
    service = new ServiceRunner({
      configuration,
      notify: (notice, argument) => link.notify(notice, argument as never),
      cardKeys: (request) => link.call('cardKeys', request, configuration.tapDeadlineMs),
      monotonicUs: () => Number(process.hrtime.bigint() / 1_000n),
      exit: () => process.exit(0),
    });
    service.start();
  },
  verifyPin: ({ tapId, digits }) => configured().verifyPin(tapId, digits),
  end: (tapId) => configured().end(tapId),
};
const link = linkToParent<ParentOffer>(offer, () => process.exit(0));
