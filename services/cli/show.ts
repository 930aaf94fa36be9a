import { plain } from './table.ts'

/** Figures as people read them in a terminal. */

export const short = (text: string, length: number): string => {
  const line = plain(text).replace(/\s+/g, ' ').trim()
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`
}

/** Nano-dollars with as many digits as say something: `$0.000058`, `$1.24`. */
export function dollars(nano: number): string {
  const usd = nano / 1e9
  if (usd === 0) return '$0'
  if (usd >= 1) return `$${usd.toFixed(2)}`
  const digits = Math.min(9, 2 - Math.floor(Math.log10(usd)))
  return `$${usd.toFixed(digits).replace(/\.?0+$/, '')}`
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`
  return `${Math.floor(ms / 3_600_000)} h ${Math.round((ms % 3_600_000) / 60_000)} min`
}

export const age = (ms: number): string => (ms < 1000 ? 'now' : `${duration(ms)} ago`)
