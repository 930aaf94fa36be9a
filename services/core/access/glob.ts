/**
 * `*` stands for any run of characters, everything else for itself. The pieces between the stars are looked for one
 * after the other and never again, so no pattern can make a match slow.
 */
export function matches(pattern: string, text: string): boolean {
  const pieces = pattern.split('*')
  const first = pieces[0] ?? ''
  const last = pieces.at(-1) ?? ''
  if (pieces.length === 1) return text === pattern
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false
  let at = first.length
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, at)
    if (found < 0) return false
    at = found + piece.length
  }
  return at <= text.length - last.length
}

export const matchesAny = (patterns: readonly string[], text: string): boolean =>
  patterns.some(pattern => matches(pattern, text))
