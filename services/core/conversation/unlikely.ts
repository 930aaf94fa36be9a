/**
 * Whether two providers or frameworks would not make the same id: it has a dozen characters that are no word and no
 * number. `call_1` has none, nor has `functions.get_weather:0`, however long: the next run has the same.
 */
export function isUnlikely(id: string): boolean {
  if (id.length < 12) return false
  if (id.includes('-') && uuid.test(id)) return true
  let [characters, digits, upper, lower] = [0, 0, 0, 0]
  for (let from = 0; from < id.length; ) {
    let to = from
    while (to < id.length && kindOf(id.charCodeAt(to)) !== 'other') to++
    if (!isPlain(id, from, to)) {
      characters += to - from
      for (let at = from; at < to; at++) {
        const code = id.charCodeAt(at)
        const kind = kindOf(code)
        if (kind === 'digit') digits |= 1 << (code - 0x30)
        else if (kind === 'upper') upper |= 1 << (code - 0x41)
        else lower |= 1 << (code - 0x61)
      }
    }
    from = to + 1
  }
  return characters >= 12 && ones(digits) + ones(upper) + ones(lower) >= 7
}

const uuid = /[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/i

/**
 * A number, or words in any case of a programmer's with a small number behind them. Walked by hand, for each id of each
 * request is asked for: `\d*`, `[A-Z]*\d{0,3}`, `[a-z]*([A-Z][a-z]+)*\d{0,3}`.
 */
function isPlain(id: string, from: number, to: number): boolean {
  let end = to
  while (end > from && kindOf(id.charCodeAt(end - 1)) === 'digit') end--
  if (end === from) return true
  if (to - end > 3) return false
  let capitals = true
  let humps = true
  for (let at = from; at < end; at++) {
    const kind = kindOf(id.charCodeAt(at))
    if (kind === 'digit') return false
    if (kind === 'lower') capitals = false
    // A capital begins a word, so a small letter follows.
    else if (at + 1 === end || kindOf(id.charCodeAt(at + 1)) !== 'lower') humps = false
  }
  return capitals || humps
}

const kindOf = (code: number): 'digit' | 'upper' | 'lower' | 'other' =>
  code >= 0x61 && code <= 0x7a
    ? 'lower'
    : code >= 0x30 && code <= 0x39
      ? 'digit'
      : code >= 0x41 && code <= 0x5a
        ? 'upper'
        : 'other'

function ones(bits: number): number {
  let count = 0
  for (let left = bits; left !== 0; left &= left - 1) count++
  return count
}
