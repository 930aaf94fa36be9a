import prometheus from 'prom-client'
import type { Lost } from './keeper.ts'
import type { SinkMetrics } from './sink.ts'

/** What a sink tells Prometheus. Labels are topics: a handful. */
export type SinkFigures = SinkMetrics & {
  readonly lost: (lost: readonly Lost[]) => void
  /** Rows can be stored, as far as the last try told. */
  readonly isAway: () => boolean
  readonly contentType: string
  text(): Promise<string>
}

const seconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** `lag` is read when Prometheus asks. */
export function openSinkFigures(lag: () => { readonly records: number; readonly ageMs: number }): SinkFigures {
  const registry = new prometheus.Registry()
  const registers = [registry]
  prometheus.collectDefaultMetrics({ register: registry })
  const counter = (name: string, help: string) =>
    new prometheus.Counter({ name, help, labelNames: ['topic'], registers })
  const rows = counter('sluice_sink_rows_total', 'Rows written to ClickHouse.')
  const duplicates = counter(
    'sluice_sink_duplicates_total',
    'Records that had been stored before and were passed over.',
  )
  const batches = counter('sluice_sink_batches_total', 'Batches brought to an end.')
  const letters = counter('sluice_sink_dead_letters_total', 'Records that could not be read and are dead letters now.')
  const missing = counter('sluice_events_lost_total', 'Facts that a producer numbered and that never came.')
  const took = new prometheus.Histogram({
    name: 'sluice_sink_batch_seconds',
    help: 'Forming, marking and inserting a batch.',
    buckets: seconds,
    registers,
  })
  const age = new prometheus.Histogram({
    name: 'sluice_sink_batch_age_seconds',
    help: 'From the time of the oldest event of a batch to its row.',
    buckets: seconds,
    registers,
  })
  const gauge = (name: string, help: string, read: () => number) =>
    new prometheus.Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  gauge(
    'sluice_sink_lag_records',
    'Records on the log, as the last reading saw it, that are not rows yet.',
    () => lag().records,
  )
  gauge(
    'sluice_sink_lag_seconds',
    'Age of the oldest record that was read and is not a row yet.',
    () => lag().ageMs / 1000,
  )
  let away = false
  gauge('sluice_sink_away', '1 while ClickHouse takes no rows.', () => (away ? 1 : 0))

  return {
    stored({ topic }, batch) {
      rows.inc({ topic }, batch.rows)
      duplicates.inc({ topic }, batch.duplicates)
      batches.inc({ topic })
      letters.inc({ topic }, batch.unreadable)
      took.observe(batch.ms / 1000)
      age.observe(batch.ageMs / 1000)
    },
    away: is => {
      away = is
    },
    isAway: () => away,
    lost(gaps) {
      for (const { topic, from, to } of gaps) missing.inc({ topic }, to - from + 1)
    },
    contentType: registry.contentType,
    text: () => registry.metrics(),
  }
}
