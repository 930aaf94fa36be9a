import { get, isObject } from './json.ts'
import type { Ask } from './protocol.ts'

/** Reads the request's body field by field and remembers what is wrong with it first. */
export type Asked = {
  readonly model: () => string | null
  readonly flag: (key: string) => boolean
  /** A whole number that is not negative, or null where there is none. */
  readonly whole: (key: string, from?: unknown) => number | null
  readonly invalid: () => string | null
}

/** Longer names are nobody's, and would fill rows and metrics. */
export const maxModelLength = 512

/** `twice`: a key that stands twice in the body's text. */
export function asked(body: unknown, twice: string | null): Asked {
  let invalid: string | null = null
  const wrong = (why: string): null => {
    invalid ??= why
    return null
  }
  if (!isObject(body) || Array.isArray(body)) wrong('The body must be a JSON object.')
  else if (twice !== null) wrong(`The key ${JSON.stringify(twice)} stands twice in the body.`)

  return {
    model() {
      const model = get(body, 'model')
      if (typeof model !== 'string' || model === '') return wrong('The body must name a "model".')
      return model.length > maxModelLength ? wrong('The name of the model is too long.') : model
    },
    flag(key) {
      const value = get(body, key)
      if (value != null && typeof value !== 'boolean') wrong(`"${key}" must be true or false.`)
      return value === true
    },
    whole(key, from = body) {
      const value = get(from, key)
      if (value === undefined || value === null) return null
      if (typeof value !== 'number' || !Number.isInteger(value)) return wrong(`"${key}" must be a whole number.`)
      return value >= 0 && Number.isSafeInteger(value) ? value : null // the provider has its own words for these
    },
    invalid: () => invalid,
  }
}

/** How many answers a number of them is: one where it says nothing sensible. */
export const positive = (value: number | null): number => (value === null || value < 1 ? 1 : value)

/** A request that makes a model write nothing. */
export const nothingAsked: Ask = Object.freeze({
  model: null,
  stream: false,
  maxTokens: 0,
  choices: 1,
  previousResponseId: null,
  invalid: null,
})
