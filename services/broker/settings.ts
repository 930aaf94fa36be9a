/** The one place that says which Kafka: image and jars alike. */
export const kafkaVersion = '4.1.1'

/** What a single node for development is told, in the words of server.properties. */
export function brokerSettings(at: {
  readonly port: number
  readonly controllerPort: number
  readonly dataDir: string
  /** Where it listens: loopback, or every interface of a container whose port is published on loopback. */
  readonly host: '127.0.0.1' | '0.0.0.0'
}): Readonly<Record<string, string>> {
  return {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${at.controllerPort}`,
    listeners: `PLAINTEXT://${at.host}:${at.port},CONTROLLER://127.0.0.1:${at.controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${at.port}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'PLAINTEXT',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': at.dataDir,
    // One node holds every copy there is.
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    // 50 and 50 partitions of internal topics take seconds to make and serve nobody here.
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.num.partitions': '1',
    'group.initial.rebalance.delay.ms': '0', // nobody else is about to join
    // After a crash the node waits for its own former self to be declared dead before it may take its place: 9 s by default.
    'broker.session.timeout.ms': '2000',
    'broker.heartbeat.interval.ms': '500',
    'log.cleaner.backoff.ms': '1000', // compaction is seen at work, not after 15 s
    'auto.create.topics.enable': 'false', // a misspelt topic is an error
    // A group that pauses keeps its marks as long as the events last, not a week.
    'offsets.retention.minutes': String(30 * 24 * 60),
  }
}

export const asProperties = (settings: Readonly<Record<string, string>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${value.replaceAll('\\', '\\\\')}\n`)
    .join('')

/** The names under which the apache/kafka image takes the same settings. */
export const asEnvironment = (settings: Readonly<Record<string, string>>): readonly string[] =>
  Object.entries(settings).map(
    ([name, value]) =>
      `KAFKA_${name.replaceAll('_', '__').replaceAll('-', '___').replaceAll('.', '_').toUpperCase()}=${value}`,
  )
