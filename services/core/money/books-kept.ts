import type { LeaseRequested, Life, RunCap } from '../../../schemas/ledger.ts'
import { type Books, type LeaseBook, lifeKey, type NodeBook, openBooks, partOf } from './books.ts'
import type { Position } from './position.ts'

/**
 * Books as JSON, head and nodes, with how far they have read: whoever goes on from here folds what came since, not the
 * whole history. Taken while a batch of the owner's is on its way they would hold what may never have been written: take
 * them when none is.
 */
export type KeptHead = {
  readonly format: 1
  readonly partition: number
  readonly ledgerNext: Position
  readonly controlNext: number
  readonly named: Position
  readonly fence: readonly (readonly [number, { readonly owner: string; readonly epoch: number }])[]
  readonly lives: readonly KeptLife[]
}

type KeptLife = Life & {
  readonly beat: number
  readonly acknowledged: number
  readonly ended: 'no' | 'released' | 'kept'
}
type KeptLease = Life & Omit<LeaseBook, 'life'>
export type KeptNode = Pick<NodeBook, 'node' | 'limit' | 'spent' | 'presumed' | 'leased' | 'beyond' | 'exhausted'> & {
  readonly mintedBy: Life | null
  readonly birthright: number
  readonly cap: RunCap | null
  readonly alerted: readonly number[]
  readonly corrections: readonly (readonly [string, { readonly correction: number; readonly total: number }])[]
  readonly asks: readonly LeaseRequested[]
  readonly leases: readonly KeptLease[]
}

export const keepHead = ({ partition, ledgerNext, controlNext, named, fence, lives }: Books): KeptHead => ({
  format: 1,
  partition,
  ledgerNext,
  controlNext,
  named,
  fence: [...fence],
  lives: Array.from(lives.values(), ({ nodes, ...life }) => ({ ...life })),
})

export const keepNode = ({ leases, corrections, asks, alerted, round, ...node }: NodeBook): KeptNode => ({
  ...node,
  alerted: [...alerted],
  corrections: [...corrections],
  asks: [...asks.values()],
  leases: Array.from(leases.values(), ({ life: { gateway, epoch }, ...lease }) => ({ gateway, epoch, ...lease })),
})

export function booksFromHead({ partition, ledgerNext, controlNext, named, fence, lives }: KeptHead): Books {
  const books: Books = { ...openBooks(partition), fence: new Map(fence), ledgerNext, controlNext, named }
  for (const life of lives) books.lives.set(lifeKey(life), { ...life, nodes: new Set() })
  return books
}

/** Puts a node back. What a life holds there may have come to its end meanwhile, so the sums are made anew. */
export function takeNode(books: Books, { leases, corrections, asks, alerted, ...node }: KeptNode): NodeBook {
  const book: NodeBook = {
    ...node,
    alerted: new Set(alerted),
    corrections: new Map(corrections),
    asks: new Map(asks.map(ask => [lifeKey(ask), ask])),
    leases: new Map(),
    spent: corrections.reduce((sum, [, { total }]) => sum + total, 0),
    presumed: 0,
    leased: 0,
    beyond: 0,
    round: 0,
  }
  for (const { gateway, epoch, ...kept } of leases) {
    const key = lifeKey({ gateway, epoch })
    const life = books.lives.get(key)
    if (life === undefined) continue // kept books hold each life that has a lease
    const lease = { ...kept, life }
    life.nodes.add(node.node)
    book.leases.set(key, lease)
    const part = partOf(lease)
    book.spent += part.spent
    book.presumed += part.presumed
    book.leased += part.leased
    book.beyond += part.beyond
  }
  books.nodes.set(node.node, book)
  // Whatever was waiting for an answer is looked at again.
  books.dirty.add(node.node)
  return book
}
