import type { LeaseRequested, Life, RunCap } from '../../schemas/ledger.ts'
import { type Books, type LeaseBook, lifeKey, type NodeBook, openBooks } from './books.ts'
import type { Fence } from './fence.ts'
import type { Position } from './position.ts'

/**
 * Books as JSON, with how far they have read: whoever goes on from here folds what came since, not the whole history. Taken
 * while a batch of the owner's is on its way they would hold what may never have been written: take them when none is.
 */
export type KeptBooks = {
  readonly format: 1
  readonly partition: number
  readonly ledgerNext: Position
  readonly controlNext: number
  readonly named: Position
  readonly fence: readonly (readonly [number, { readonly owner: string; readonly epoch: number }])[]
  readonly lives: readonly KeptLife[]
  readonly nodes: readonly KeptNode[]
}

type KeptLife = Life & {
  readonly beat: number
  readonly acknowledged: number
  readonly ended: 'no' | 'released' | 'kept'
}
type KeptLease = Life & Omit<LeaseBook, 'life'>
type KeptNode = Pick<NodeBook, 'node' | 'limit' | 'spent' | 'presumed' | 'leased' | 'beyond' | 'exhausted'> & {
  readonly mintedBy: Life | null
  readonly birthright: number
  readonly cap: RunCap | null
  readonly alerted: readonly number[]
  readonly corrections: readonly (readonly [string, { readonly correction: number; readonly total: number }])[]
  readonly asks: readonly LeaseRequested[]
  readonly leases: readonly KeptLease[]
}

export function keepBooks(books: Books): KeptBooks {
  const { partition, ledgerNext, controlNext, named } = books
  return {
    format: 1,
    partition,
    ledgerNext,
    controlNext,
    named,
    fence: [...books.fence],
    lives: [...books.lives.values()].map(({ nodes, ...life }) => life),
    nodes: [...books.nodes.values()].map(({ leases, corrections, asks, alerted, ...node }) => ({
      ...node,
      alerted: [...alerted],
      corrections: [...corrections],
      asks: [...asks.values()],
      leases: [...leases.values()].map(({ life: { gateway, epoch }, ...lease }) => ({ gateway, epoch, ...lease })),
    })),
  }
}

export function booksFrom(kept: KeptBooks): Books {
  const { ledgerNext, controlNext, named } = kept
  const fence: Fence = new Map(kept.fence)
  const books: Books = { ...openBooks(kept.partition), fence, ledgerNext, controlNext, named }
  for (const life of kept.lives) books.lives.set(lifeKey(life), { ...life, nodes: new Set() })
  for (const { leases, corrections, asks, alerted, ...node } of kept.nodes) {
    const book: NodeBook = {
      ...node,
      alerted: new Set(alerted),
      corrections: new Map(corrections),
      asks: new Map(asks.map(ask => [lifeKey(ask), ask])),
      leases: new Map(),
    }
    for (const { gateway, epoch, ...lease } of leases) {
      const key = lifeKey({ gateway, epoch })
      const life = books.lives.get(key)
      if (life === undefined) continue // kept books hold each life that has a lease
      life.nodes.add(node.node)
      book.leases.set(key, { ...lease, life })
    }
    books.nodes.set(node.node, book)
    // Whatever was waiting for an answer is looked at again.
    books.dirty.add(node.node)
  }
  return books
}
