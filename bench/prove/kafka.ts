import { openKafka, type TestKafka, whyNoKafka } from '../../test/support/broker.ts'
import { notShown, type Shown, type Trial } from './promise.ts'

/** The same over Kafka, where that is wanted: that of KAFKA_BROKERS, or one that is started for it. */
export async function overKafka(
  trial: Trial,
  show: (kafka: TestKafka) => Promise<readonly Shown[]>,
): Promise<readonly Shown[]> {
  if (!trial.kafka) return [notShown('over Kafka', 'npm run prove -- --kafka starts one')]
  const why = await whyNoKafka()
  if (why !== null) return [notShown('over Kafka', why)]
  const kafka = await openKafka()
  trial.after(kafka.close)
  return show(kafka)
}

/** For the environment of a stack that speaks to it. */
export const brokersOf = (kafka: TestKafka | undefined): Record<string, string> =>
  kafka === undefined ? {} : { KAFKA_BROKERS: kafka.brokers.join(',') }
