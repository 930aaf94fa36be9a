/**
 * What the world breaks: a full disk, a broker that is away, an upstream that lies. It carries two texts: `message` may
 * be told to a client, `cause` is for the log. What the domain expects (a refusal) is a value, not a Fault.
 */
export class Fault extends Error {
  readonly code: string
  /** Whether the same act may succeed later. */
  readonly retriable: boolean

  constructor(code: string, message: string, options: { readonly retriable?: boolean; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'Fault'
    this.code = code
    this.retriable = options.retriable ?? false
  }
}

/** The text of whatever was thrown. */
export const textOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown))
