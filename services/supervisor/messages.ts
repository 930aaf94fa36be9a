/** What a supervisor and its processes say to each other, over the channel that Node opens between them. */
export type Facts = Readonly<Record<string, string>>

export type FromProcess =
  | { readonly kind: 'ready'; readonly facts: Facts }
  /** It could not start, and says why in a sentence for whoever runs it. */
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  /** It was told to stop, by somebody other than the supervisor. */
  | { readonly kind: 'signalled'; readonly signal: string }

export type ToProcess = { readonly kind: 'stop' }

/** The whole of a process's life in one word of advice to its supervisor: starting again would end the same way. */
export const hopeless: readonly string[] = ['port_taken', 'config_invalid', 'credentials_unreadable', 'role_unknown']
