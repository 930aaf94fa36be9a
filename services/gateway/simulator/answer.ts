import { named } from './bedrock.ts'
import { openaiProblem } from './chat.ts'
import { DOORS } from './doors.ts'
import { isRecord, type Json, shallow } from './json.ts'
import { refusal, type Script } from './script.ts'

/** A pure function of the request: the same bytes are answered by the same bytes. */
export const answerOf = (request: {
  readonly method: string
  readonly path: string
  readonly headers: readonly string[]
  readonly body: Buffer | null
}): Script => {
  const [path = '', ...query] = request.path.split('?')
  const bytes = request.body?.toString('utf8') ?? ''
  const asked = {
    method: request.method,
    path: decoded(path),
    query: new URLSearchParams(query.join('?')),
    header: reader(request.headers),
  }
  const door = DOORS.find(({ method, path }) => method === request.method && path.test(asked.path))
  if (door === undefined) return refusal(openaiProblem, 404, `No such route: ${request.method} ${asked.path}`)
  const body = request.method === 'GET' || request.body === null ? {} : objectIn(bytes)
  const script =
    body === null
      ? refusal(door.problem, 400, 'The body is not a JSON object, or nests too deeply.')
      : door.answer({ ...asked, body })
  return asked.path.startsWith('/model/') ? named(script) : script
}

const objectIn = (bytes: string): Json | null => {
  try {
    const value: unknown = JSON.parse(bytes)
    return isRecord(value) && shallow(value) ? value : null
  } catch {
    return null
  }
}

const decoded = (path: string): string => {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

const reader =
  (headers: readonly string[]) =>
  (name: string): string =>
    headers.find((_, i) => i % 2 === 1 && headers[i - 1]?.toLowerCase() === name) ?? ''
