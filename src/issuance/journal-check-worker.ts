import { parentPort } from 'node:worker_threads';
import { checkSent, packResult } from './journal/batch-checking.ts';
import type { CheckTask } from './journal-checker.ts';

/** Runs in a thread of its own, beside the one that stores: unpacks batches, hashes entries and verifies signatures. */
const port = parentPort;
if (!port) throw new Error('this module runs as a thread');

port.on('message', ({ from, payload, keys }: CheckTask) => {
  const result = packResult(checkSent(from, payload, keys));
  if (result.kind === 'refused') port.postMessage(result);
  else port.postMessage(result, [result.bytes.buffer as ArrayBuffer, result.salts.buffer as ArrayBuffer]);
});
