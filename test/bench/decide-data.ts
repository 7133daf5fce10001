import { join } from 'node:path';
import { FactsWriter } from '#adapters/sqlite/facts.ts';
import { JournalFile } from '#adapters/sqlite/journal-file.ts';
import { importHolders, userNumber, writeHolders } from './holders.ts';

/** `decide-data.ts install|change DIRECTORY COUNT`: fills the databases of decide.ts, then tells the seconds it took. */
const [step, directory = '', amount] = process.argv.slice(2);
const count = Number(amount);
const list = join(directory, 'holders.csv');
writeHolders(list, count, step === 'install' ? '2030' : '2031');
const seconds = await importHolders(list, join(directory, 'policy.sqlite'));
if (step === 'install') {
  const file = join(directory, 'journal.sqlite');
  const journal = JournalFile.open({ file, terminal: 'bench', create: true, reserveMiB: 1 });
  const db = journal.database();
  const facts = new FactsWriter(db);
  // where a list names no holders, the user number stands for the person
  db.transaction(() => {
    for (let index = 0; index < count; index += 1) {
      facts.apply([
        { key: 'inside', holderId: userNumber(index), value: { zone: 'lab', atMs: index } },
        { key: 'uses/taxi', holderId: userNumber(index), value: index % 10 },
      ]);
    }
  })();
  journal.close();
}
process.send?.(seconds);
