const width = 20

/** `██████▒▒░░░░░`: spent, held and left of a limit. What is there at all is seen, and what is not full does not look so. */
export function bar(spent: number, held: number, limit: number): string {
  const cells = (amount: number): number => {
    if (amount <= 0) return 0
    if (amount >= limit) return width
    return Math.min(width - 1, Math.max(1, Math.round((amount / limit) * width)))
  }
  const full = cells(spent)
  const both = Math.max(cells(spent + held), held > 0 && spent + held < limit ? Math.min(full + 1, width - 1) : full)
  return '█'.repeat(full) + '▒'.repeat(both - full) + '░'.repeat(width - both)
}
