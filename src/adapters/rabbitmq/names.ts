import { topicPattern } from '#core/sync/topics.ts';

/** where the MQTT plugin puts what is published, by its topic */
export const exchange = 'amq.topic';
/** holds what terminals tell until an issuance server has stored it */
export const upQueue = 'kazasu.up';
/** of everything that terminals tell */
export const upBinding = toRoutingKey(topicPattern('*', 'up', '*'));

/** A topic as AMQP writes it; no name here has a dot. */
export function toRoutingKey(topic: string): string {
  return topic.replaceAll('/', '.');
}

export function toTopic(routingKey: string): string {
  return routingKey.includes('/') ? '' : routingKey.replaceAll('.', '/');
}
