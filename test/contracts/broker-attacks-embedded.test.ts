import { describeBrokerAttacks } from './broker-attacks.ts';
import { EmbeddedBrokerRig } from './embedded-broker-rig.ts';

describeBrokerAttacks('the embedded broker', (pki) => new EmbeddedBrokerRig(pki));
