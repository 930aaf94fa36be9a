/**
 * Server-sent events, read while they pass: bytes may be cut anywhere, in the middle of a character or between `\r` and
 * `\n`. Each byte is looked at once and copied at most once.
 */
export type EventReader = {
  /**
   * Reads on. `told` is called at each blank line with what stood before it: the event's name ('' for none), its data
   * (null where there was none, as for comments, or where it was larger than the limit), and where in this chunk the next
   * event begins.
   */
  readonly push: (chunk: Buffer, told: Told) => void
  /** The bytes have ended. An event without its blank line is told all the same. */
  readonly end: (told: Told) => void
  /** The chunk ended between `\r` and what may be its `\n`: a `\n` that comes next belongs to what was told last. */
  readonly betweenCrLf: () => boolean
}
export type Told = (name: string, data: string | null, next: number) => void

/** `maxEventBytes`: what an event may hold; a larger one is passed over, which is memory's only bound here. */
export function readEvents(maxEventBytes: number): EventReader {
  let line: Buffer[] = [] // the beginning of a line whose end has not come
  let size = 0 // bytes of the event so far
  let name = ''
  let data: string | null = null
  let tooLarge = false
  let afterCr = false
  let first = true

  const take = (bytes: Buffer, from: number, to: number): void => {
    let start = from
    if (first) {
      first = false
      if (bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf) start += 3
    }
    const isData = starts(bytes, start, to, dataField)
    if (!isData && !starts(bytes, start, to, eventField)) return
    let value = start + (isData ? 4 : 5)
    if (value < to) {
      if (bytes[value] !== 0x3a) return
      value++
      if (bytes[value] === 0x20 && value < to) value++
    }
    const text = bytes.toString('utf8', value, to)
    if (!isData) name = text
    else data = data === null ? text : `${data}\n${text}`
  }

  const blank = (told: Told, next: number): void => {
    const [event, text] = [name, tooLarge ? null : data]
    name = ''
    data = null
    size = 0
    tooLarge = false
    told(event, text, next)
  }

  const endLine = (chunk: Buffer, from: number, to: number, next: number, told: Told): void => {
    size += to - from
    if (size > maxEventBytes) tooLarge = true
    if (line.length === 0) {
      if (from === to) blank(told, next)
      else if (!tooLarge) take(chunk, from, to)
      return
    }
    const whole = tooLarge ? null : Buffer.concat([...line, chunk.subarray(from, to)])
    line = []
    if (whole !== null) take(whole, 0, whole.length)
    else data = null
  }

  return {
    push(chunk, told) {
      let at = 0
      if (afterCr && chunk.length > 0) {
        afterCr = false
        if (chunk[0] === lf) at = 1
      }
      let nextLf = chunk.indexOf(lf, at)
      let nextCr = chunk.indexOf(cr, at)
      while (nextLf >= 0 || nextCr >= 0) {
        const byCr = nextCr >= 0 && (nextLf < 0 || nextCr < nextLf)
        const end = byCr ? nextCr : nextLf
        let next = end + 1
        if (byCr && chunk[next] === lf) next++
        else if (byCr && next === chunk.length) afterCr = true
        endLine(chunk, at, end, next, told)
        at = next
        if (nextLf >= 0 && nextLf < at) nextLf = chunk.indexOf(lf, at)
        if (nextCr >= 0 && nextCr < at) nextCr = chunk.indexOf(cr, at)
      }
      if (at === chunk.length) return
      size += chunk.length - at
      if (size > maxEventBytes) {
        tooLarge = true
        line = [nothing] // a line has begun, its bytes are not kept
      } else line.push(at === 0 ? chunk : chunk.subarray(at))
    },
    end(told) {
      if (line.length > 0) endLine(nothing, 0, 0, 0, told)
      if (data !== null) blank(told, 0)
    },
    betweenCrLf: () => afterCr,
  }
}

const lf = 0x0a
const cr = 0x0d
const nothing = Buffer.alloc(0)
const dataField = Buffer.from('data')
const eventField = Buffer.from('event')

function starts(bytes: Buffer, from: number, to: number, field: Buffer): boolean {
  if (to - from < field.length) return false
  for (let i = 0; i < field.length; i++) if (bytes[from + i] !== field[i]) return false
  return true
}
