import fs from 'node:fs'
import path from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { parseArgs } from 'node:util'
import { openKafka, type TestKafka, whyNoKafka } from './support/broker.ts'

/**
 * `npm test`: every suite that needs nothing but the clone, then those of Kafka where one can be had. The last line tells
 * how it went. `--kafka-only` runs these alone and wants a Kafka. Names narrow it: `npm test -- supervisor`.
 */
const { values, positionals } = parseArgs({ allowPositionals: true, options: { 'kafka-only': { type: 'boolean' } } })
const kafkaOnly = values['kafka-only'] === true

/** Two cores run two files well; more only make deadlines tight. */
const concurrency = 2
/** No test takes a minute; one that hangs must not take the whole run with it. */
const testMs = 180_000
/** Two cores take six to ten minutes, those of Kafka included. */
const wholeMs = 15 * 60_000

type Count = { passed: number; failed: number; skipped: number }
const count: Count = { passed: 0, failed: 0, skipped: 0 }

const root = path.join(import.meta.dirname, '..')
const files = fs
  .globSync('test/**/*.test.ts', { cwd: root })
  .filter(file => positionals.length === 0 || positionals.some(name => file.includes(name)))
  .sort()
const isKafka = (file: string): boolean => path.basename(file).includes('kafka')

/** Without what would turn an embedded suite into another one, or a test into a customer. */
const bare = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(KAFKA_|CLICKHOUSE_|SLUICE_(?!TEST_)|AWS_|NODE_TEST_CONTEXT)|_API_KEY$/.test(name),
  ),
)

async function runFiles(files: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  if (files.length === 0) return
  const stream = run({
    files: files.map(file => path.join(root, file)),
    cwd: root,
    concurrency,
    timeout: testMs,
    isolation: 'process',
    execArgv: ['--import', path.join(root, 'test/support/leave.ts')],
    env,
  })
  const silent = new Set(files.map(file => path.join(root, file)))
  stream.on('test:summary', ({ file, counts }) => {
    // One of each file that has told all it had, then one that counts them all.
    if (file !== undefined) return silent.delete(file)
    const { tests, passed, skipped, todo } = counts
    count.passed += passed
    count.skipped += skipped + todo
    count.failed += tests - passed - skipped - todo
  })
  for await (const text of stream.compose(new spec())) process.stdout.write(text)
  for (const file of silent) {
    console.error(`${path.relative(root, file)} did not tell of all its tests`)
    count.failed++
  }
}

/** One broker for all suites that do not want one of their own. Answers whether they were run, in words. */
async function runKafka(): Promise<string> {
  if (kafkaFiles.length === 0) return 'none of that name'
  if (kafkaOnly) process.env['SLUICE_TEST_KAFKA'] = 'require'
  try {
    const why = await whyNoKafka()
    if (why === null) kafka = await openKafka()
    else {
      count.skipped += kafkaFiles.length
      return `not run, ${kafkaFiles.length} files skipped: ${why}`
    }
  } catch (error) {
    count.failed++
    return `not run: ${error instanceof Error ? error.message : error}`
  }
  const brokers = kafka.brokers.join(',')
  const asked = process.env['SLUICE_TEST_KAFKA']
  try {
    await runFiles(kafkaFiles, {
      ...bare,
      ...(asked === undefined ? {} : { SLUICE_TEST_KAFKA: asked }),
      KAFKA_BROKERS: brokers,
    })
  } finally {
    await kafka.close()
  }
  return `run, against ${process.env['KAFKA_BROKERS'] === undefined ? 'a broker of this run' : brokers}`
}

let kafka: TestKafka | null = null
async function stop(why: string): Promise<never> {
  console.error(why)
  await kafka?.close()
  process.exit(1)
}
setTimeout(() => stop(`The tests took longer than ${wholeMs / 60_000} minutes and were stopped.`), wholeMs).unref()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop(`Stopped by ${signal}.`))

const kafkaFiles = files.filter(isKafka)
if (!kafkaOnly)
  await runFiles(
    files.filter(file => !isKafka(file)),
    bare,
  )
const told = await runKafka()
console.log(`\nKafka suites: ${told}`)
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`)
process.exit(count.failed > 0 || count.passed === 0 ? 1 : 0)
