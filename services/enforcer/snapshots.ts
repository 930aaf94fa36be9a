import { openShelf, type Shelf, type ShelfLimits } from './shelf.ts'

/** What an enforcer knows, on this disk: a restart folds minutes and not months. */
export type Snapshots = { readonly shelf: (name: string, limits: ShelfLimits) => Shelf }

export const openSnapshots = (dir: string): Snapshots => ({ shelf: (name, limits) => openShelf(dir, name, limits) })
