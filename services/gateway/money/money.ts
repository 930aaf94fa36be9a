import type { Logger } from 'pino'
import type { MoneyDecision } from '../../../schemas/control.ts'
import { encodeLedger } from '../../../schemas/money.ts'
import { topics } from '../../../schemas/topics.ts'
import { scopeOfNode } from '../../core/money/caps.ts'
import { usualSettings } from '../../core/money/purse.ts'
import { messagesOf } from '../../core/money/reports.ts'
import type { Life } from '../../io/epoch.ts'
import { partitionOf } from '../../io/log/partitioner.ts'
import type { EventLog } from '../../io/log/port.ts'
import { openRecorder } from '../recorder.ts'
import { closeFormer, closingGroup, type FormerCall } from './last-words.ts'
import { openTill, type Till } from './till.ts'
import { openTolls, type Tolls } from './tolls.ts'

/** All that a gateway has to do with money before it is spent: which caps, and a till that holds what they lend. */
export type Money = {
  readonly tolls: Tolls
  readonly till: Till
  readonly hear: (decision: MoneyDecision) => void
  readonly close: () => Promise<void>
}

export async function openMoney(options: {
  readonly log: EventLog
  /** This gateway's own partition of the ledger on that log. */
  readonly partition: number
  readonly life: Life
  readonly nextLife: () => Life
  /** How many owners there are: one for the embedded ledger, one for each partition of Kafka's. */
  readonly owners: number
  readonly termMs: number
  /** Calls of former lives, and where this gateway's events end behind them. */
  readonly former: readonly FormerCall[]
  readonly eventsEnd: number
  readonly logger: Logger
}): Promise<Money> {
  const { log, life, owners } = options
  const at = { topic: topics.ledger.name, partition: options.partition }
  const writer = await log.writer(at.topic, { partition: at.partition, lingerMs })
  const lastReports = await closeFormer(log, at.partition, life.producer, options.former)
  const recorder = openRecorder({
    writer,
    life: { producer: life.producer.replace(/^gateway/, 'ledger'), epoch: life.epoch },
    encode: encodeLedger,
  })
  const partitions = Array.from({ length: owners }, (_, partition) => partition)
  const beats = partitions.map(partition => keyInto(partition, owners))
  const keyOf = (partition: number, node: string | null) =>
    node === null ? (beats[partition] ?? '') : scopeOfNode(node)
  const lastWords = messagesOf(
    lastReports.map(({ report, ...of }) => ({
      life: of,
      partition: partitionOf(scopeOfNode(report.node), owners),
      type: 'lease.returned',
      report,
    })),
  )
  await Promise.all(
    lastWords.map(
      ({ partition, message }) =>
        new Promise<void>(told => recorder.tell(message, beats[partition] ?? '', () => told())),
    ),
  )
  const till = openTill({
    life: lifeOf(life),
    recorder,
    partitions,
    keyOf,
    owed: new Map(
      options.former
        .filter(call => call.isQueued)
        .map(({ requestId, nodes, costNanoUsd }) => [requestId, { nodes, boundNanoUsd: costNanoUsd }]),
    ),
    eventsEnd: options.eventsEnd,
    settings: { ...usualSettings, termMs: options.termMs, beatMs: Math.max(500, Math.floor(options.termMs / 6)) },
    nextLife: () => lifeOf(options.nextLife()),
  })
  /** So that a next life reads no more than some seconds' worth. */
  let restatedTo = (await log.bounds(at)).end
  let markedAt = performance.now()
  const mark = async (): Promise<void> => {
    const { end } = await log.bounds(at)
    const isDue = end - restatedTo >= Math.max(restateEvery, restateShare * till.nodes())
    if (!isDue && performance.now() - markedAt < restateMs) return
    if (!(await till.restate())) return
    await log.commit(closingGroup, at, { offset: end })
    restatedTo = (await log.bounds(at)).end
    markedAt = performance.now()
  }
  const marking = setInterval(() => void mark().catch(error => options.logger.warn({ err: error }, unmarked)), markMs)
  return {
    tolls: openTolls(owners),
    till,
    hear: decision => till.hear([decision]),
    async close() {
      clearInterval(marking)
      await till.close()
    },
  }
}

/** Owners are in no hurry to learn what calls came to; what they have to answer is flushed. */
const lingerMs = 50

/** Messages that are read within a second … */
const restateEvery = 50_000
/** … or, where there are many nodes, so many times as many: what is said again is a fifth of all at most. */
const restateShare = 4
/** A spool keeps what is shipped for longer than this. */
const restateMs = 600_000
const markMs = 5_000
const unmarked = 'the ledger could not be marked; a next start reads more of it'

const lifeOf = ({ producer, epoch }: Life) => ({ gateway: producer, epoch })

/** Heartbeats are about no scope, so they need a key for each partition. One of some dozens falls into it. */
function keyInto(partition: number, partitions: number): string {
  for (let i = 0; ; i++) if (partitionOf(`beat-${i}`, partitions) === partition) return `beat-${i}`
}
