import type { Broker, GroupMember, GroupMemberAssignment, GroupState, IHeaders } from 'kafkajs'

/**
 * What kafkajs speaks but does not type. Its brokers know one method per request of the protocol; the published type
 * names some of them and leaves most answers `any`. These are the requests this adapter makes and the fields it reads,
 * as kafkajs 2.2.4 (pinned, and frozen upstream) decodes them.
 */
export type Peer = {
  fetch(request: {
    readonly maxWaitTime: number
    readonly minBytes: number
    readonly maxBytes: number
    readonly isolationLevel: number
    readonly topics: readonly {
      readonly topic: string
      readonly partitions: readonly {
        readonly partition: number
        readonly fetchOffset: string
        readonly maxBytes: number
      }[]
    }[]
  }): Promise<{
    readonly responses: readonly { readonly topicName: string; readonly partitions: readonly Fetched[] }[]
  }>
  initProducerId(request: { readonly transactionTimeout: number }): Promise<ProducerId>
  joinGroup(request: JoinRequest): Promise<JoinAnswer>
  syncGroup(request: {
    readonly groupId: string
    readonly generationId: number
    readonly memberId: string
    readonly groupAssignment: readonly GroupMemberAssignment[]
  }): Promise<{ readonly memberAssignment: Buffer }>
  heartbeat(request: {
    readonly groupId: string
    readonly groupGenerationId: number
    readonly memberId: string
  }): Promise<unknown>
  leaveGroup(request: { readonly groupId: string; readonly memberId: string }): Promise<unknown>
  offsetCommit(request: {
    readonly groupId: string
    readonly groupGenerationId: number
    readonly memberId: string
    readonly topics: readonly {
      readonly topic: string
      readonly partitions: readonly { readonly partition: number; readonly offset: string; readonly metadata: string }[]
    }[]
  }): Promise<unknown>
  offsetFetch(request: {
    readonly groupId: string
    readonly topics: readonly {
      readonly topic: string
      readonly partitions: readonly { readonly partition: number }[]
    }[]
  }): Promise<{
    readonly responses: readonly {
      readonly topic: string
      readonly partitions: readonly {
        readonly partition: number
        readonly offset: string
        readonly metadata: string | null
      }[]
    }[]
  }>
}

export type JoinRequest = {
  readonly groupId: string
  readonly sessionTimeout: number
  readonly rebalanceTimeout: number
  readonly memberId: string
  readonly groupProtocols: readonly GroupState[]
}
export type JoinAnswer = {
  readonly generationId: number
  readonly leaderId: string
  readonly memberId: string
  readonly members: readonly GroupMember[]
}

export type ProducerId = { readonly producerId: string; readonly producerEpoch: number }

export type Fetched = {
  readonly partition: number
  readonly highWatermark: string
  readonly messages: readonly {
    readonly offset: string
    readonly key: Buffer | null
    readonly value: Buffer | null
    readonly headers: IHeaders
    readonly isControlRecord?: boolean
  }[]
}

/** `as`, because the class behind the published type has exactly these methods in the pinned version. */
export const peer = (broker: Broker): Peer => broker as unknown as Peer

/** The way of a request to a broker and back, for those that we encode ourselves. */
export type Transport = {
  send<Decoded extends { readonly clientSideThrottleTime: number }, Answer>(
    exchange: Exchange<Decoded, Answer>,
  ): Promise<Answer>
}
export type Exchange<Decoded, Answer> = {
  readonly request: {
    readonly apiKey: number
    readonly apiVersion: number
    readonly apiName: string
    readonly expectResponse?: () => boolean
    readonly encode: () => Promise<{ readonly buf: Buffer; readonly buffer: Buffer }>
  }
  readonly response: {
    readonly decode: (bytes: Buffer) => Promise<Decoded>
    readonly parse: (decoded: Decoded) => Promise<Answer>
  }
  /** Milliseconds; else the client's. */
  readonly requestTimeout?: number
}

/** Likewise: all of the class's own methods end there. */
export const transport = (broker: Broker): Transport =>
  (broker as unknown as { connectionPool: Transport }).connectionPool

/** The protocol's name of an error, wherever kafkajs has wrapped it; null for what is no answer of a broker. */
export function errorType(error: unknown): string | null {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if ('type' in at && typeof at.type === 'string') return at.type
  }
  return null
}

/** The broker answers, but what we know of who leads what is old: ask for metadata again and go on. */
export const isStale = (type: string): boolean => stale.has(type)
const stale = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
  'KAFKA_STORAGE_ERROR',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
])

/** A member that hears one of these is none any more: the group went on without it. */
export const isFenced = (type: string | null): boolean => type !== null && fenced.has(type)
const fenced = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID'])

/** Answers that asking again will not change. */
export const isFinal = (type: string | null): boolean => type !== null && (final.has(type) || fenced.has(type))
const final = new Set([
  'REBALANCE_IN_PROGRESS',
  'OFFSET_METADATA_TOO_LARGE',
  'INVALID_TOPIC_EXCEPTION',
  'INVALID_GROUP_ID',
  'INVALID_SESSION_TIMEOUT',
  'INCONSISTENT_GROUP_PROTOCOL',
  'TOPIC_AUTHORIZATION_FAILED',
  'GROUP_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'SASL_AUTHENTICATION_FAILED',
  'UNSUPPORTED_SASL_MECHANISM',
  'UNSUPPORTED_VERSION',
])
