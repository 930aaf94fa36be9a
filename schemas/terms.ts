import { z } from 'zod'
import { Secret } from './secret.ts'

/** Terms that several parts of the configuration use. */

/** `*` stands for any run of characters. */
export const glob = z.string().min(1).max(200)

export const httpUrl = z.string().refine(isHttpUrl, 'expected an http:// or https:// URL')

/** A secret in a file of configuration: text once `${ENV}` and `{ file: … }` have been resolved. */
export const secret = z
  .string()
  .min(1)
  .transform(text => new Secret(text))

/** A table under names that people choose, in the order of the file: a Map, for `constructor` is a name like any other. */
export function named<Value extends z.ZodType>(value: Value, name: z.ZodType<string, string> = z.string().min(1)) {
  return z
    .record(name, value)
    .default({} as never) // an empty table; its value type is the caller's
    .transform(table => new Map(Object.entries(table)) as ReadonlyMap<string, z.output<Value>>)
}

function isHttpUrl(text: string): boolean {
  return /^https?:\/\/[^\s]+$/.test(text) && URL.canParse(text)
}
