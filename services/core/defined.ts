/** Without what is undefined: an absent field is not written. */
export function defined<T extends Record<string, unknown>>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const out: Record<string, unknown> = {}
  for (const name in fields) if (fields[name] !== undefined) out[name] = fields[name]
  return out as { [K in keyof T]?: Exclude<T[K], undefined> } // built from T's own names above
}
