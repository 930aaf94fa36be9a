/** The topics, their keys and their settings: the whole of what roles know of each other. */
export type TopicSpec = {
  readonly name: string
  readonly partitions: number
  readonly cleanup: 'delete' | 'compact' | 'compact,delete'
  /** −1: for ever. */
  readonly retentionMs: number
  /** In words, for the AsyncAPI document. */
  readonly key: string
  readonly holds: string
}

const day = 86_400_000

export const topics = {
  events: {
    name: 'sluice.events',
    partitions: 12,
    cleanup: 'delete',
    retentionMs: 30 * day,
    key: 'root run id',
    holds: 'every fact: runs, model calls, tools, agents, guardrails, admissions',
  },
  ledger: {
    name: 'sluice.ledger',
    partitions: 6,
    cleanup: 'delete',
    retentionMs: 30 * day,
    key: 'scope of the cap',
    holds: 'what gateways say of money',
  },
  control: {
    name: 'sluice.control',
    partitions: 1,
    cleanup: 'compact',
    retentionMs: -1,
    key: 'scope',
    holds: 'what the enforcer decides, in one total order',
  },
  alerts: {
    name: 'sluice.alerts',
    partitions: 1,
    cleanup: 'delete',
    retentionMs: 30 * day,
    key: 'scope',
    holds: 'CloudEvents for alerting consumers',
  },
  config: {
    name: 'sluice.config',
    partitions: 1,
    cleanup: 'compact',
    retentionMs: -1,
    key: 'object id',
    holds: 'agents, keys, the signers of tokens and policies as versioned facts',
  },
  deadletters: {
    name: 'sluice.deadletters',
    partitions: 1,
    cleanup: 'delete',
    retentionMs: 30 * day,
    key: 'none',
    holds: 'what could not be read, with where it stood and why',
  },
} as const satisfies Record<string, TopicSpec>

export type TopicName = (typeof topics)[keyof typeof topics]['name']
