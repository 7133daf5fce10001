import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { importHolders } from './holders.ts';

/** `single-change-data.ts DIRECTORY`: imports each message, one line of a list, in the delta mode. */
const [directory = ''] = process.argv.slice(2);
const list = join(directory, 'one.csv');
process.on('message', async (line: string) => {
  writeFileSync(list, `利用者番号,カード識別値,状態\r\n${line}\r\n`);
  process.send?.(await importHolders(list, join(directory, 'policy.sqlite'), 'delta'));
});
process.send?.('ready');
