/** A JSON line of the log as a line for eyes: time, level, role, message, then what else it says. */
export function readable(line: string): string {
  const entry = parsed(line)
  if (entry === null) return line
  const { level, time, role, pid: _pid, msg, err, ...rest } = entry
  const clock = typeof time === 'string' ? time.slice(11, 23) : ''
  const facts = Object.entries(rest).map(
    ([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  const stack = stackOf(err)
  return `${clock} ${String(level).toUpperCase().padEnd(5)} ${role}: ${msg ?? ''}${facts.join('')}${stack === null ? '' : `\n${stack}`}\n`
}

function stackOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null) return null
  const { stack, message } = error as { stack?: unknown; message?: unknown } // pino's own form of an error
  return typeof stack === 'string' ? stack : typeof message === 'string' ? message : null
}

function parsed(line: string): Record<string, unknown> | null {
  try {
    return JSON.parse(line) as Record<string, unknown> // pino writes one object to a line
  } catch {
    return null
  }
}
