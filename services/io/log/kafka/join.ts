import { createRequire } from 'node:module'
import type { Broker } from 'kafkajs'
import { type Exchange, type JoinAnswer, type JoinRequest, peer, transport } from './protocol.ts'

/** The broker answers when all members have joined, or `rebalanceTimeout` is over, and then has a moment more. */
const moreMs = 5_000

/**
 * Asks for a seat in a group. With an `instance` the seat is kept for whoever comes back under that name (static
 * membership, Kafka 2.3 and newer): a process that was killed takes its partitions up again at once, where else the group
 * would wait for the session of the dead one first. kafkajs knows the words of it, and does not say them.
 */
export function joinGroup(broker: Broker, request: JoinRequest, instance: string | null): Promise<JoinAnswer> {
  if (instance === null) return peer(broker).joinGroup(request)
  return transport(broker).send({
    request: words.request({ ...request, groupInstanceId: instance, protocolType: 'consumer' }),
    response: words.response,
    requestTimeout: request.rebalanceTimeout + moreMs,
  })
}

type Words = {
  readonly request: (
    asked: JoinRequest & { readonly groupInstanceId: string; readonly protocolType: 'consumer' },
  ) => Exchange<never, never>['request']
  readonly response: Exchange<{ readonly clientSideThrottleTime: number }, JoinAnswer>['response']
}

/** `as`: of the pinned version, which exports and types neither. */
const load = createRequire(import.meta.url) as (file: string) => unknown
const words = {
  request: load('kafkajs/src/protocol/requests/joinGroup/v5/request'),
  response: load('kafkajs/src/protocol/requests/joinGroup/v5/response'),
} as Words
