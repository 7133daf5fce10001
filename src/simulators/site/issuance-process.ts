/** The issuance server of the building, in a process of its own that ends with the site. */
import { linkToParent } from '#adapters/process/child-main.ts';
import { runIssuance } from '#issuance/main.ts';
import { IssuanceOffice, type IssuanceOfficeOffer, type SiteOffer } from './issuance-office.ts';

const [configFile = ''] = process.argv.slice(2);
let stop = (): void => process.exit(0);
const stopped = new Promise<string>((resolve) => {
  stop = () => resolve('the site');
});
let office: IssuanceOffice | undefined;
const opened = (): IssuanceOffice => {
  if (!office) throw new Error('the server has not started');
  return office;
};
const offer: IssuanceOfficeOffer = {
  enrol: (terminal) => opened().enrol(terminal),
  rules: () => opened().rules(),
  install: (rules) => opened().install(rules),
  versions: (changeNumber) => opened().versions(changeNumber),
  stop: () => stop(),
};
const link = linkToParent<SiteOffer>(offer, () => stop());
await runIssuance(configFile, {
  stopped,
  ready: async (issuance) => {
    office = new IssuanceOffice(issuance);
    await office.prepare();
    link.notify('ready', undefined as never);
  },
});
process.exit(0);
