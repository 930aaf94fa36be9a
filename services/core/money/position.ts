/**
 * How far something has been read: of each partition the first offset that has not been. Kafka has one partition where
 * the embedded log has one for each gateway that writes, so a place in the ledger is as many numbers as it has writers.
 */
export type Position = Readonly<Record<number, number>>

/** Whether all of `other` lies before this position. */
export const reaches = (position: Position, other: Position): boolean => {
  for (const partition in other) if ((position[partition] ?? 0) < (other[partition] ?? 0)) return false
  return true
}

/** The first position that reaches both. */
export function furthest(a: Position, b: Position): Position {
  if (reaches(a, b)) return a
  const both: Record<number, number> = { ...a }
  for (const partition in b) both[partition] = Math.max(both[partition] ?? 0, b[partition] ?? 0)
  return both
}

/** Where a record stands. */
export type Place = { readonly partition: number; readonly offset: number }
export const past = (position: Position, { partition, offset }: Place): Position =>
  (position[partition] ?? 0) > offset ? position : { ...position, [partition]: offset + 1 }
