import fs from 'node:fs'
import path from 'node:path'
import type { ProtocolName } from '../../schemas/work.ts'

/** A small hand-made exchange, and what must be read from it: see `test/golden/exchanges.md`. */
export type Golden = {
  readonly name: string
  readonly protocol: ProtocolName
  readonly method: string
  readonly path: string
  readonly request: string | null
  readonly status: number
  readonly content_type: string
  readonly answer?: string
  readonly answer_base64?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly reading: Readonly<Record<string, unknown>>
}

/** The bytes that the provider sent. */
export const answerOf = ({ answer, answer_base64 }: Golden): Buffer =>
  answer_base64 === undefined ? Buffer.from(answer ?? '') : Buffer.from(answer_base64, 'base64')

const file = path.join(import.meta.dirname, '../golden/exchanges.jsonl')
export const golden: readonly Golden[] = fs
  .readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map(line => JSON.parse(line) as Golden) // written by us
