import { makeBatches } from './ingest-data.ts';

/** The terminals of the bench of ingestion, in a process of their own: all is signed beforehand, and sent when told. */
const [terminals = '0', rounds = '0'] = process.argv.slice(2);
const { keys, batches } = await makeBatches(Number(terminals), Number(rounds));
process.send?.({ keys, batches: batches.length });
process.once('message', () => {
  // open loop: nothing here waits for the server
  for (const [at, batch] of batches.entries()) {
    process.send?.(batch, undefined, undefined, () => at === batches.length - 1 && process.disconnect?.());
  }
});
