import fs from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import type { TopicSpec } from '../../../../schemas/topics.ts'
import { isMissing, replaceFile, topicDir } from './place.ts'

/** What a topic was made with. The number of partitions is not among it: each writer brings its own. */
const settings = z.object({ cleanup: z.enum(['delete', 'compact', 'compact,delete']), retentionMs: z.number().int() })
export type TopicSettings = Readonly<z.infer<typeof settings>>

/** For topics that nobody described: keep everything. */
const undescribed: TopicSettings = { cleanup: 'delete', retentionMs: -1 }

const file = (dir: string, topic: string) => path.join(topicDir(dir, topic), 'topic.json')

export function readSettings(dir: string, topic: string): TopicSettings {
  return tryRead(dir, topic) ?? undescribed
}

function tryRead(dir: string, topic: string): TopicSettings | null {
  try {
    return settings.parse(JSON.parse(fs.readFileSync(file(dir, topic), 'utf8')))
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
}

/** Writes the settings of a topic that has none; else a sentence where they differ, or null. */
export async function ensureTopic(dir: string, { name, cleanup, retentionMs }: TopicSpec): Promise<string | null> {
  const found = tryRead(dir, name)
  if (found === null) {
    fs.mkdirSync(topicDir(dir, name), { recursive: true })
    await replaceFile(file(dir, name), JSON.stringify({ cleanup, retentionMs }))
    return null
  }
  const differences = [
    found.cleanup === cleanup ? [] : [`cleanup is ${found.cleanup}, not ${cleanup}`],
    found.retentionMs === retentionMs ? [] : [`retentionMs is ${found.retentionMs}, not ${retentionMs}`],
  ].flat()
  return differences.length === 0 ? null : `The topic ${name} differs: ${differences.join(', ')}.`
}
