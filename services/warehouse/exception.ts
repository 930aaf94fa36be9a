/**
 * ClickHouse tells its errors by number. Clients branch on the number and the name, so both have to survive from
 * the engine to the wire, and what this role refuses on its own has to look the same.
 */

const types = {
  BAD_ARGUMENTS: 36,
  NOT_IMPLEMENTED: 48,
  SYNTAX_ERROR: 62,
  UNKNOWN_SETTING: 115,
  INTO_OUTFILE_NOT_ALLOWED: 154,
  READONLY: 164,
  QUERY_IS_TOO_LARGE: 165,
  REQUIRED_PASSWORD: 194,
  TOO_MANY_SIMULTANEOUS_QUERIES: 202,
  SOCKET_TIMEOUT: 209,
  ABORTED: 236,
  CANNOT_PARSE_TEXT: 6,
  ACCESS_DENIED: 497,
  UNKNOWN_ROLE: 511,
  AUTHENTICATION_FAILED: 516,
} as const

export type OwnType = keyof typeof types

/** An error with a ClickHouse code and name; `message` is the bare sentence, without code, name and version. */
export class QueryException extends Error {
  readonly code: number
  readonly type: string

  constructor(code: number, type: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'QueryException'
    this.code = code
    this.type = type
  }

  /** The body of the answer, in the server's own words. */
  text(version: string): string {
    const sentence = /[.!?]$/.test(this.message) ? this.message : `${this.message}.`
    return `Code: ${this.code}. DB::Exception: ${sentence} (${this.type}) (version ${version})\n`
  }
}

export function refusal(type: OwnType, message: string): QueryException {
  return new QueryException(types[type], type, message)
}

const engineText = /^Code: (\d+)\. DB::\w*Exception: ([\s\S]*?)\s*\(([A-Z][A-Z0-9_]*)\)\s*(?:\(version [^)]*\)\.?)?\s*$/

/** What the engine threw, as code, name and sentence. It sometimes wraps its own text in itself once more. */
export function fromEngine(thrown: unknown): QueryException {
  if (thrown instanceof QueryException) return thrown
  const raw = thrown instanceof Error ? thrown.message : String(thrown)
  const outer = engineText.exec(raw)
  if (outer === null) return new QueryException(1002, 'UNKNOWN_EXCEPTION', raw, thrown)
  const [, code = '', sentence = '', type = ''] = outer
  const inner = engineText.exec(sentence.replace(/\.$/, ''))
  const bare = inner !== null && inner[1] === code ? (inner[2] ?? sentence) : sentence
  return new QueryException(Number(code), type, bare, thrown)
}

const status: Readonly<Record<number, number>> = Object.fromEntries([
  [194, 401],
  ...[192, 193, 497, 512, 516].map(code => [code, 403]),
  ...[6, 7, 25, 26, 27, 36, 38, 41, 44, 53, 62, 72, 8, 15, 16, 69, 117, 167, 168, 190, 223, 224, 233, 376, 427].map(
    code => [code, 400],
  ),
  ...[46, 47, 50, 56, 60, 63, 73, 81, 106, 113, 115, 78, 511].map(code => [code, 404]),
  [165, 413],
  [48, 501],
  [76, 503],
  [209, 503],
  [236, 503],
  [439, 503],
  [159, 408],
])

/** The HTTP status a ClickHouse server answers with for this code; what it does not name is 500. */
export function httpStatus(code: number): number {
  return status[code] ?? 500
}
