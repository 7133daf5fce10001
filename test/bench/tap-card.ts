/**
 * The card of the tap benchmark, in a process of its own as a card is: takes `insert` and `remove` from its parent
 * and answers `done`. Arguments: the card's file and the slot of vpcd.
 */
import { loadVirtualCard } from '#simulators/card/virtual-card.ts';
import { VpcdLink } from '#simulators/vpcd/vpcd-link.ts';

const card = await loadVirtualCard(process.argv[2] ?? '');
const link = new VpcdLink({ slot: Number(process.argv[3]), whenLost: 'report' });

process.on('message', (message) => {
  const done = (): void => void process.send?.('done');
  if (message === 'insert') {
    void link.insert(card).then(done);
  } else {
    link.remove();
    done();
  }
});
process.once('disconnect', () => link.remove());
process.send?.('done');
