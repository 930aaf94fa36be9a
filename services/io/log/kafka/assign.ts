import type { Partition } from '../port.ts'

/**
 * Which member of a group reads what: the partitions in order, dealt out one by one to the members in order. Every
 * member would compute the same; the group's leader does. Members' ids begin with their client's id, so a process that
 * comes back under its name gets, as a rule, what it had.
 */
export function spread(members: readonly string[], partitions: readonly Partition[]): ReadonlyMap<string, Partition[]> {
  const order = [...members].sort()
  const dealt = new Map(order.map(member => [member, [] as Partition[]]))
  const sorted = [...partitions].sort((a, b) =>
    a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition,
  )
  for (const [i, at] of sorted.entries()) dealt.get(order[i % order.length] ?? '')?.push(at)
  return dealt
}
