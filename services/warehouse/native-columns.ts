import { refusal } from './exception.ts'

/** Thrown where the bytes end before the column does: more of them are on the way. */
export class Incomplete extends Error {}

/**
 * Walks over ClickHouse's Native format without decoding it. The format does not say how long a column is; only its
 * type does, together with lengths among the data.
 */
export class NativeReader {
  readonly #bytes: Buffer
  at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  skip(size: number): void {
    this.at += size
    if (this.at > this.#bytes.length) throw new Incomplete()
  }

  varint(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      this.skip(1)
      const byte = this.#bytes.readUInt8(this.at - 1)
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }

  uint64(): number {
    this.skip(8)
    return Number(this.#bytes.readBigUInt64LE(this.at - 8))
  }

  string(): string {
    const size = this.varint()
    this.skip(size)
    return this.#bytes.toString('utf8', this.at - size, this.at)
  }

  /** A column of `rows` values, its own prologue included. */
  column(type: string, rows: number): void {
    const shape = parseType(type)
    if (rows === 0) return
    this.#prologue(shape)
    this.#values(shape, rows)
  }

  /** What types say once before all values, nested ones too. */
  #prologue(shape: Shape): void {
    if (shape.name === 'LowCardinality' || shape.name === 'JSON') this.skip(8)
    else for (const inner of shape.inner) this.#prologue(inner)
  }

  #values(shape: Shape, rows: number): void {
    const [first, second] = shape.inner
    const width = shape.name === 'FixedString' ? Number(shape.text) : widths[shape.name]
    if (width !== undefined) this.skip(width * rows)
    else if (shape.name === 'Decimal') this.skip(decimalWidth(Number(shape.text)) * rows)
    else if (shape.name === 'String' || shape.name === 'JSON') this.#strings(rows)
    else if (shape.name === 'Tuple' && first !== undefined) for (const inner of shape.inner) this.#values(inner, rows)
    else if (shape.name === 'Tuple') this.skip(rows)
    else if (first === undefined) throw unknown(shape)
    else if (shape.name === 'SimpleAggregateFunction') this.#values(first, rows)
    else if (shape.name === 'LowCardinality') this.#dictionary(first, rows)
    else if (shape.name === 'Nullable') {
      this.skip(rows)
      this.#values(first, rows)
    } else if (shape.name === 'Array' || shape.name === 'Map') {
      // Where each array ends; the last of them counts all elements.
      this.skip((rows - 1) * 8)
      const elements = this.uint64()
      this.#values(first, elements)
      if (second !== undefined) this.#values(second, elements)
    } else throw unknown(shape)
  }

  #strings(rows: number): void {
    for (let row = 0; row < rows; row += 1) this.skip(this.varint())
  }

  /** Keys once, then for each row which key: a number of 1, 2, 4 or 8 bytes. */
  #dictionary(shape: Shape, rows: number): void {
    if (rows === 0) return
    this.skip(8)
    const indexWidth = 2 ** this.#bytes.readUInt8(this.at - 8)
    const [base] = shape.name === 'Nullable' ? shape.inner : [shape]
    if (base === undefined) throw unknown(shape)
    this.#values(base, this.uint64())
    this.skip(this.uint64() * indexWidth)
  }
}

const unknown = (shape: Shape) =>
  refusal('NOT_IMPLEMENTED', `The type ${shape.name} cannot be sent in the Native format for client_protocol_version`)

const decimalWidth = (precision: number): number =>
  precision <= 9 ? 4 : precision <= 18 ? 8 : precision <= 38 ? 16 : 32

const widths: Readonly<Record<string, number>> = {
  ...{ UInt8: 1, UInt16: 2, UInt32: 4, UInt64: 8, UInt128: 16, UInt256: 32, Bool: 1, Nothing: 1 },
  ...{ Int8: 1, Int16: 2, Int32: 4, Int64: 8, Int128: 16, Int256: 32, Float32: 4, Float64: 8, BFloat16: 2 },
  ...{ Date: 2, Date32: 4, DateTime: 4, DateTime64: 8, Time: 4, Time64: 8, UUID: 16, IPv4: 4, IPv6: 16 },
  ...{ Enum8: 1, Enum16: 2, Decimal32: 4, Decimal64: 8, Decimal128: 16, Decimal256: 32 },
}

/** A type with the types in it; `text` is the first argument where that is no type. */
type Shape = { readonly name: string; readonly text: string; readonly inner: readonly Shape[] }

const holders = new Set(['Array', 'Nullable', 'LowCardinality', 'Map', 'Tuple', 'SimpleAggregateFunction'])
/** Names for other types. */
const aliases: Readonly<Record<string, string>> = {
  Point: 'Tuple(Float64, Float64)',
  Ring: 'Array(Point)',
  LineString: 'Array(Point)',
  Polygon: 'Array(Ring)',
  MultiLineString: 'Array(LineString)',
  MultiPolygon: 'Array(Polygon)',
}

function parseType(type: string): Shape {
  const open = type.indexOf('(')
  const name = (open < 0 ? type : type.slice(0, open)).trim()
  const alias = aliases[name]
  if (alias !== undefined) return parseType(alias)
  if (name.startsWith('Interval')) return { name: 'Int64', text: '', inner: [] }
  const parts = open < 0 ? [] : splitArguments(type.slice(open + 1, type.lastIndexOf(')')))
  if (name === 'Nested') return parseType(`Array(Tuple(${parts.join(', ')}))`)
  const types = name === 'SimpleAggregateFunction' ? parts.slice(1) : parts
  const inner = holders.has(name) ? types.map(part => parseType(name === 'Tuple' ? withoutName(part) : part)) : []
  return { name, text: parts[0] ?? '', inner }
}

/** `a UInt8` or `` `a b` UInt8 `` in a tuple; unnamed elements are types alone. */
function withoutName(element: string): string {
  const named = /^(?:`(?:[^`\\]|\\.)*`|\w+)\s+(?=\w)/.exec(element)
  return named === null ? element : element.slice(named[0].length)
}

function splitArguments(text: string): readonly string[] {
  const parts: string[] = []
  let depth = 0
  let start = 0
  for (let at = 0; at < text.length; at += 1) {
    const c = text.charAt(at)
    if (c === "'" || c === '`') {
      // Names and enum values may hold anything.
      for (at += 1; at < text.length && text.charAt(at) !== c; at += 1) if (text.charAt(at) === '\\') at += 1
    } else if (c === '(') depth += 1
    else if (c === ')') depth -= 1
    else if (c === ',' && depth === 0) {
      parts.push(text.slice(start, at).trim())
      start = at + 1
    }
  }
  parts.push(text.slice(start).trim())
  return parts.filter(part => part !== '')
}
