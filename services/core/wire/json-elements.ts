/** The elements of a JSON array, told one by one while its bytes come in, cut anywhere. */
export type ElementReader = {
  readonly push: (chunk: Buffer) => void
  /** Whether the array's own closing bracket has been seen. */
  readonly closed: () => boolean
}

/** `told` gets each element that is an object, as text. Elements larger than the limit are passed over. */
export function readElements(maxElementBytes: number, told: (json: string) => void): ElementReader {
  let depth = 0 // 1: in the array, between elements
  let inString = false
  let escaped = false
  let parts: Buffer[] = []
  let size = 0

  const keep = (chunk: Buffer, from: number, to: number): void => {
    size += to - from
    if (size <= maxElementBytes) parts.push(chunk.subarray(from, to))
    else parts = []
  }

  return {
    push(chunk) {
      let from = depth > 1 ? 0 : -1 // where the element under way begins in this chunk
      for (let at = 0; at < chunk.length; at++) {
        const byte = chunk[at]
        if (inString) {
          if (escaped) escaped = false
          else if (byte === 0x5c) escaped = true
          else if (byte === 0x22) inString = false
        } else if (byte === 0x22) inString = true
        else if (byte === 0x7b || byte === 0x5b) {
          if (++depth === 2) from = at
        } else if (byte === 0x7d || byte === 0x5d) {
          if (--depth !== 1 || from < 0) continue
          keep(chunk, from, at + 1)
          const element = size <= maxElementBytes ? Buffer.concat(parts).toString('utf8') : null
          parts = []
          size = 0
          from = -1
          if (element !== null) told(element)
        }
      }
      if (from >= 0) keep(chunk, from, chunk.length)
    },
    closed: () => depth === 0,
  }
}
