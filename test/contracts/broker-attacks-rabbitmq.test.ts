import { describeBrokerAttacks } from './broker-attacks.ts';
import { RabbitRig } from './rabbitmq-rig.ts';

describeBrokerAttacks('RabbitMQ', (pki) => new RabbitRig(pki));
