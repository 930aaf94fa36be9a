/**
 * A text as a number of 53 bits: the same for the same, and for two others in a window of a thousand the same once in
 * 10¹⁰. A number is a fifth of the text of a digest, in memory and in a snapshot. Not for whoever wants to collide: two of
 * his own calls that look alike stop none but his own run.
 */
export function markOf(text: string, seed = 0): number {
  let a = 0xdeadbeef ^ seed
  let b = 0x41c6ce57 ^ (seed / 0x100000000)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 0x9e3779b1)
    b = Math.imul(b ^ code, 0x5f356495)
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35)
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
  return 0x100000000 * (0x1fffff & b) + (a >>> 0)
}

/** Two marks as one; their order counts. */
export function mixOf(a: number, b: number): number {
  const low = Math.imul(a ^ 0x9e3779b1, 0x85ebca6b) ^ Math.imul(b, 0xc2b2ae35)
  const high = Math.imul((a / 0x100000000) ^ 0x5f356495, 0xc2b2ae35) ^ Math.imul(b / 0x100000000, 0x85ebca6b)
  const mixed = Math.imul(high ^ (low >>> 15), 0x2c1b3c6d) ^ Math.imul(low, 0x297a2d39)
  return 0x100000000 * (0x1fffff & (mixed ^ (mixed >>> 12))) + ((low ^ Math.imul(high, 0x165667b1)) >>> 0)
}
