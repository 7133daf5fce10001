import { describeBrokerAttacks } from './broker-attacks.ts';
import { MosquittoRig } from './mosquitto-rig.ts';

describeBrokerAttacks('mosquitto', (pki) => new MosquittoRig(pki));
