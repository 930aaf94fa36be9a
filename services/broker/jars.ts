import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Logger } from 'pino'
import { Fault } from '../io/fault.ts'
import { run } from './process.ts'

/** 43 MB; a slow line has this long. */
const fetchMs = 600_000

/** Makes sure that the official jars of this version are in the directory; fetches them by Maven where they are not. */
export async function ensureJars(jars: string, version: string, log: Logger): Promise<void> {
  if (await hasKafka(jars, version)) return
  const why = await whyNoJars(jars, version)
  if (why !== null) throw new Fault('broker_failed', why)
  log.info({ version, into: jars }, 'fetching Kafka with Maven, once')
  // Beside its place and then renamed: an interrupted fetch must not look like a whole one, nor two at a time mix.
  const partial = `${jars}.${process.pid}.partial`
  const lib = path.join(partial, 'lib')
  try {
    await mkdir(lib, { recursive: true })
    await writeFile(path.join(partial, 'pom.xml'), pom(version))
    const goal = ['-q', '-B', 'dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${lib}`]
    const fetched = await run('mvn', goal, fetchMs, partial)
    if (!fetched.ok || !(await hasKafka(lib, version))) {
      const reason = fetched.out.split('\n').find(line => line.includes('ERROR')) ?? 'it gave no reason'
      throw new Fault(
        'broker_failed',
        `Maven could not fetch Kafka ${version}: ${reason.replace('[ERROR]', '').trim()}`,
      )
    }
    await rename(lib, jars).catch(async error => {
      if (!(await hasKafka(jars, version))) throw error // another process was faster
    })
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
}

/** Why the jars are not there and cannot be fetched, in a sentence; null where they are or can. */
export async function whyNoJars(jars: string, version: string): Promise<string | null> {
  if (await hasKafka(jars, version)) return null
  if ((await run('mvn', ['--version'], 30_000)).ok) return null
  return 'Kafka has to be fetched once and `mvn` (Maven) was not found in PATH: install it, start Docker, or set KAFKA_BROKERS.'
}

async function hasKafka(dir: string, version: string): Promise<boolean> {
  const names = await readdir(dir).catch((): string[] => [])
  return names.includes(`kafka_2.13-${version}.jar`)
}

/** Kafka's jars speak to slf4j and bring nothing that listens; the simple one writes to the standard error. */
const pom = (version: string): string => `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sluice</groupId>
  <artifactId>kafka-for-development</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${version}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
`
