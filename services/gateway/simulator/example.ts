import { isRecord, type Json, list, record, text, wholeNumber } from './json.ts'

/**
 * A value that is valid for a JSON Schema, as far as that is simple: types, required properties, enums, references
 * inside the document, bounds, the common formats. Patterns and conditions are not tried. Gemini's upper-case types count.
 */
export const example = (schema: unknown): unknown => valid(schema, record(schema), 0)

/** Schemas refer to themselves; what lies deeper than this is left empty. */
const DEEPEST = 12

const valid = (schema: unknown, root: Json, depth: number): unknown => {
  if (!isRecord(schema) || depth > DEEPEST) return null
  if ('const' in schema) return schema.const
  if ('default' in schema) return schema.default
  const given = list(schema.enum)[0] ?? list(schema.examples)[0]
  if (given !== undefined) return given
  const reference = text(schema.$ref)
  if (reference.startsWith('#')) return valid(resolve(reference, root), root, depth + 1)
  const branch = list(schema.anyOf)[0] ?? list(schema.oneOf)[0]
  if (branch !== undefined) return valid({ ...without(schema), ...record(branch) }, root, depth + 1)
  const all = list(schema.allOf)
  if (all.length > 0) return valid(merged([without(schema), ...all.map(record)]), root, depth + 1)
  return ofType(schema, root, depth)
}

const ofType = (schema: Json, root: Json, depth: number): unknown => {
  switch (typeOf(schema)) {
    case 'object': {
      const properties = record(schema.properties)
      const names = list(schema.required).map(text)
      return Object.fromEntries(names.map(name => [name, valid(properties[name] ?? {}, root, depth + 1)]))
    }
    case 'array':
      return Array.from({ length: Math.min(wholeNumber(schema.minItems) ?? 1, 16) }, () =>
        valid(schema.items, root, depth + 1),
      )
    case 'integer':
      return Math.ceil(numberIn(schema, 1))
    case 'number':
      return numberIn(schema, 0.5)
    case 'boolean':
      return true
    case 'null':
      return null
    default:
      return stringIn(schema)
  }
}

const typeOf = (schema: Json): string => {
  const types = Array.isArray(schema.type) ? schema.type.map(text) : [text(schema.type)]
  const type = (types.find(name => name.toLowerCase() !== 'null') ?? types[0] ?? '').toLowerCase()
  if (type !== '') return type
  if ('properties' in schema || 'required' in schema) return 'object'
  return 'items' in schema ? 'array' : 'string'
}

const numberIn = (schema: Json, step: number): number => {
  const bound = (key: string): number | null => (typeof schema[key] === 'number' ? schema[key] : null)
  const least =
    bound('minimum') ?? (bound('exclusiveMinimum') === null ? null : (bound('exclusiveMinimum') ?? 0) + step)
  const most = bound('maximum') ?? (bound('exclusiveMaximum') === null ? null : (bound('exclusiveMaximum') ?? 0) - step)
  const unit = bound('multipleOf')
  const wanted = Math.min(Math.max(1, least ?? 1), most ?? Number.POSITIVE_INFINITY)
  return unit === null || unit <= 0 ? wanted : Math.ceil(wanted / unit) * unit
}

const FORMATS: Readonly<Record<string, string>> = {
  'date-time': '2026-01-01T00:00:00Z',
  date: '2026-01-01',
  time: '00:00:00Z',
  duration: 'PT1M',
  email: 'someone@example.com',
  hostname: 'example.com',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  uri: 'https://example.com/',
  url: 'https://example.com/',
  uuid: '00000000-0000-4000-8000-000000000000',
}

const stringIn = (schema: Json): string => {
  const plain = FORMATS[text(schema.format)] ?? 'example'
  const least = wholeNumber(schema.minLength) ?? 0
  const most = wholeNumber(schema.maxLength) ?? Number.POSITIVE_INFINITY
  return plain.padEnd(Math.min(least, 1_000), 'x').slice(0, most)
}

const without = ({ anyOf: _anyOf, oneOf: _oneOf, allOf: _allOf, ...rest }: Json): Json => rest

const merged = (schemas: readonly Json[]): Json => ({
  ...Object.fromEntries(schemas.flatMap(schema => Object.entries(schema))),
  ...(schemas.some(schema => 'properties' in schema)
    ? {
        properties: Object.fromEntries(schemas.flatMap(schema => Object.entries(record(schema.properties)))),
        required: schemas.flatMap(schema => list(schema.required)),
      }
    : {}),
})

const resolve = (reference: string, root: Json): unknown =>
  reference
    .slice(1)
    .split('/')
    .filter(part => part !== '')
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>((value, part) => (isRecord(value) && Object.hasOwn(value, part) ? value[part] : undefined), root)
