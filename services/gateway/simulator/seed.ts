/**
 * Everything about an answer that looks random comes from here, so that the same question always gets the same answer.
 * Not cryptographic: the hash only has to differ where the questions differ.
 */
export const digest = (text: string): string => lane(text, 0x811c9dc5) + lane(text, 0x9e3779b9)

const lane = (text: string, basis: number): string => {
  let hash = basis
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  // FNV alone leaves the last characters in the low bits: mix them through.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0).toString(16).padStart(8, '0')
}

/** A stream of numbers in [0, 1), the same for the same seed. */
export const numbers = (seed: string): (() => number) => {
  let state = Number.parseInt(digest(seed).slice(0, 8), 16)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
