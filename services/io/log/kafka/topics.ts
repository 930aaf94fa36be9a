import kafkajs, { type Admin } from 'kafkajs'
import type { TopicSpec } from '../../../../schemas/topics.ts'
import { Fault, textOf } from '../../fault.ts'
import { maxRecordBytes } from '../codec.ts'
import type { Client } from './client.ts'
import { firstWaitMs, nextWait, now, pause, unavailable, within } from './deadline.ts'
import { errorType, isFinal } from './protocol.ts'

/** Longer than a cluster takes to elect a controller; who calls this is starting, and can say that Kafka is not there. */
const ensureMs = 15_000

/**
 * Makes what is missing, and answers what differs in what was there: one sentence for a topic. Changes nothing. Throws
 * `topic_refused` for what Kafka will not make, `log_unavailable` where there is no Kafka for fifteen seconds.
 */
export async function ensureTopics(open: () => Client, specs: readonly TopicSpec[]): Promise<readonly string[]> {
  const until = now() + ensureMs
  for (let waitMs = firstWaitMs; ; waitMs = nextWait(waitMs)) {
    const client = open()
    const admin = client.kafka.admin()
    try {
      return await within(until - now(), 'look after the topics', ensure(admin, specs))
    } catch (error) {
      const refusals = refusalsOf(error)
      if (refusals.length > 0) throw new Fault('topic_refused', refusals.join('; '), { cause: error })
      if (now() + waitMs > until) throw unavailable(`Kafka did not look after the topics: ${textOf(error)}`, error)
    } finally {
      client.cut()
    }
    await pause(waitMs)
  }
}

async function ensure(admin: Admin, specs: readonly TopicSpec[]): Promise<readonly string[]> {
  await admin.connect()
  const { brokers } = await admin.describeCluster()
  const replicas = Math.min(3, brokers.length)
  const there = new Set(await admin.listTopics())
  const missing = specs.filter(({ name }) => !there.has(name))
  const topics = missing.map(spec => ({
    topic: spec.name,
    numPartitions: spec.partitions,
    replicationFactor: replicas,
    configEntries: Object.entries(settings(spec, replicas)).map(([name, value]) => ({ name, value })),
  }))
  // False: another process made them between our look and our asking; then they are looked at like the others.
  const made = missing.length > 0 && (await admin.createTopics({ topics }))
  const found = made ? specs.filter(({ name }) => there.has(name)) : specs
  return found.length === 0 ? [] : compare(admin, found, replicas)
}

/** A sentence for each topic that Kafka refuses to make, now and later. */
function refusalsOf(error: unknown): string[] {
  const errors: readonly unknown[] = error instanceof kafkajs.KafkaJSAggregateError ? error.errors : [error]
  return errors.flatMap(one => {
    const type = errorType(one)
    if (!isFinal(type) && !refusals.has(type ?? '')) return []
    const topic = one instanceof Error && 'topic' in one ? `topic ${one.topic}: ` : ''
    return [`${topic}${textOf(one)}`]
  })
}

const refusals = new Set(['POLICY_VIOLATION', 'INVALID_CONFIG', 'INVALID_PARTITIONS'])

/** What a topic is made with. */
export function settings(spec: TopicSpec, replicas: number): Readonly<Record<string, string>> {
  return {
    'cleanup.policy': spec.cleanup,
    'retention.ms': String(spec.retentionMs),
    // With three replicas an acknowledged record is on two; with fewer, asking for two would stop all at the first loss.
    'min.insync.replicas': replicas >= 3 ? '2' : '1',
    // What the file log of a gateway takes must fit when it is forwarded, and 64 KiB for what surrounds it.
    'max.message.bytes': String(maxRecordBytes + 65_536),
    ...(spec.cleanup.includes('compact')
      ? {
          // Only closed segments are compacted, and a reader starts by reading all: keep the open one short and young.
          'segment.bytes': String(16 << 20),
          'segment.ms': '600000',
          'min.cleanable.dirty.ratio': '0.1',
        }
      : {}),
  }
}

async function compare(admin: Admin, specs: readonly TopicSpec[], replicas: number): Promise<readonly string[]> {
  const names = specs.map(({ name }) => name)
  const { topics } = await admin.fetchTopicMetadata({ topics: names })
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: names.map(name => ({ type: kafkajs.ConfigResourceTypes.TOPIC, name })),
  })
  return specs.flatMap(spec => {
    const partitions = topics.find(({ name }) => name === spec.name)?.partitions ?? []
    const entries = resources.find(({ resourceName }) => resourceName === spec.name)?.configEntries ?? []
    const actual = Object.fromEntries(entries.map(({ configName, configValue }) => [configName, configValue]))
    const copies = Math.min(...partitions.map(one => one.replicas.length))
    const differences = [
      ...(partitions.length === spec.partitions ? [] : [`${partitions.length} partitions, not ${spec.partitions}`]),
      ...(copies >= replicas ? [] : [`${copies} replicas, not ${replicas}`]),
      ...differing(settings(spec, replicas), actual),
    ]
    return differences.length === 0 ? [] : [`topic ${spec.name} has ${differences.join(', ')}`]
  })
}

/** Only what promises hang on, and only in the direction that breaks one: how segments are cut is the operator's taste. */
function differing(wanted: Readonly<Record<string, string>>, actual: Readonly<Record<string, string>>): string[] {
  const kept = wanted['cleanup.policy']?.includes('delete') ? ['retention.ms'] : []
  const same = ['cleanup.policy', ...kept].filter(name => normal(wanted[name]) !== normal(actual[name]))
  const enough = ['min.insync.replicas', 'max.message.bytes'].filter(
    name => Number(actual[name]) < Number(wanted[name]),
  )
  return [...same, ...enough].map(name => `${name} ${actual[name]}, not ${wanted[name]}`)
}

const normal = (value = ''): string => value.split(',').sort().join(',')
