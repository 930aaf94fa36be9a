/**
 * Which partition a key belongs to, as Kafka's own default partitioner says (murmur2 over the UTF-8 bytes), so that
 * every client of a topic, ours or foreign, agrees on it without asking.
 */
export const partitionOf = (key: string, partitions: number): number =>
  (murmur2(Buffer.from(key)) & 0x7fffffff) % partitions

/** Austin Appleby's MurmurHash2 with Kafka's seed; a signed 32-bit integer. */
export function murmur2(bytes: Uint8Array): number {
  const m = 0x5bd1e995
  const whole = bytes.length & ~3
  let h = 0x9747b28c ^ bytes.length
  for (let i = 0; i < whole; i += 4) {
    let k = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    h = Math.imul(h, m) ^ Math.imul(k, m)
  }
  const rest = bytes.length - whole
  if (rest > 2) h ^= bytes[whole + 2]! << 16
  if (rest > 1) h ^= bytes[whole + 1]! << 8
  if (rest > 0) h = Math.imul(h ^ bytes[whole]!, m)
  h = Math.imul(h ^ (h >>> 13), m)
  return h ^ (h >>> 15)
}
