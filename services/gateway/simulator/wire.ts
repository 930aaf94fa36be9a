import type { Json } from './json.ts'
import type { Prompt, Turn } from './turn.ts'

/** A request as the simulator's doors see it. */
export type Asked = {
  readonly method: string
  /** Without the query, percent-decoded. */
  readonly path: string
  readonly query: URLSearchParams
  /** Empty where there is no such header. The name in lower case. */
  readonly header: (name: string) => string
  readonly body: Json
}

/** How one kind of conversation is read and answered. All pure. */
export type Wire = {
  readonly read: (asked: Asked) => Prompt
  readonly body: (asked: Asked, prompt: Prompt, turn: Turn) => unknown
  /** The stream, piece by piece as it goes out. */
  readonly events: (asked: Asked, prompt: Prompt, turn: Turn) => Iterable<Piece>
  readonly streamType: (asked: Asked) => string
  /** What stands in a stream in place of the rest when it fails; `first` where nothing came before. */
  readonly failure: (asked: Asked, first: boolean) => Piece
  readonly problem: Problem
}

/** What goes out in one write; frames of AWS's event streams are bytes. */
export type Piece = string | Buffer

/** The body of an error answer. */
export type Problem = (status: number, message: string) => unknown

/** The moment of every answer: the clock would make two answers to one question differ. 2026-01-01T00:00:00Z. */
export const CREATED_S = 1_767_225_600

export const sse = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`
export const namedSse = (data: Json & { readonly type: string }): string =>
  `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
