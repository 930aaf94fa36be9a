import type { Usage } from '../../../schemas/llm.ts'
import type { ProtocolName } from '../../../schemas/work.ts'
import type { Turn } from '../../core/conversation/turn.ts'
import type { Doors } from './routes.ts'

/**
 * A wire protocol, as the gateway needs to know it: pure tables, no I/O. One file per protocol and one line in
 * `protocols.ts`.
 */
export type Protocol = {
  readonly name: ProtocolName
  readonly routes: readonly Route[]
  /** Finds the route of a path. */
  readonly doors: Doors
  /**
   * What the request asks for. The body is parsed JSON of unknown shape: nothing here may throw on it. `bytes` is the text
   * that was parsed: only there can be seen that a key stands twice. `query` as it was written, without its question mark.
   */
  readonly ask: (route: Matched, body: unknown, bytes?: Buffer, query?: string) => Ask
  /** Changes to the request's bytes that make the answer measurable; the same bytes where none are needed. */
  readonly prepare: (route: Matched, ask: Ask, bytes: Buffer) => Prepared
  /** The same request for another model. */
  readonly withModel: (route: Matched, bytes: Buffer, model: string) => Addressed
  /** The same request with no more than so many output tokens for each choice; null where its shape has no such limit. */
  readonly withLimit: (route: Matched, ask: Ask, bytes: Buffer, tokens: number) => Buffer | null
  /** Reads one answer while it passes. */
  readonly meter: (route: Matched, ask: Ask, answer: AnswerHead, options: MeterOptions) => Meter
  /** How conversations are read, where a shape has any: the turns of a request, and one of them. */
  readonly conversation: (route: Matched) => Conversation | null
  /** A refusal or fault of ours in this protocol's own error shape. */
  readonly refusal: (refusal: Refusal) => { readonly body: Buffer; readonly headers: Readonly<Record<string, string>> }
  /** The same as the last event of a stream that has begun. `query`: some streams have their form from there. */
  readonly streamError: (route: Matched, refusal: Refusal, query?: string) => Buffer
  /** The answer to whoever asks which models there are. */
  readonly modelList: (models: readonly string[]) => unknown
}

export type Route = {
  readonly method: string
  /** `/v1/chat/completions`, `/v1beta/models/{model}:generateContent`, `/v1/responses/{id}`. */
  readonly path: string
  /** OpenTelemetry's `gen_ai.operation.name`, or `count_tokens`, `list_models`. */
  readonly operation: string
  /** Which body this is, where a protocol has several: `chat`, `responses`, `embeddings`, … */
  readonly shape: string
  /** There is no body to read. That of a GET never is. */
  readonly bodiless?: true
}
/** `params`: what stood in the braces, decoded. `upstreamPath`: what follows the provider's `baseUrl`, query not included. */
export type Matched = {
  readonly route: Route
  readonly params: Readonly<Record<string, string>>
  readonly upstreamPath: string
}

export type Ask = {
  readonly model: string | null
  readonly stream: boolean
  /** The most output tokens that the client allows; null where it sets no limit. */
  readonly maxTokens: number | null
  /** How many answers are asked for at once (OpenAI `n`, Gemini `candidateCount`). */
  readonly choices: number
  readonly previousResponseId: string | null
  /** What the request is where its route does not tell: one path of Bedrock's is a chat or an embedding by its model. */
  readonly operation?: string
  /** Why the body cannot be served (not an object, no model, a top-level key twice, …); null where it can. */
  readonly invalid: string | null
}

/** `hideUsage`: usage was asked for on the client's behalf, its chunk must be taken out again. */
export type Prepared = { readonly bytes: Buffer; readonly hideUsage: boolean }

export type Addressed = { readonly bytes: Buffer; readonly upstreamPath: string }

export type Conversation = {
  /** The request's turns in order, without instructions, in the protocol's own shape. */
  readonly turns: (body: unknown) => readonly unknown[]
  readonly read: (turn: unknown) => Turn
  /** Tells with a glance that a turn has no ids. Each request looks through many old turns for them. */
  readonly mayHaveIds: (turn: unknown) => boolean
}

/** `header`: an answer's header by its lower-case name. */
export type AnswerHead = {
  readonly status: number
  readonly contentType: string
  readonly header?: (name: string) => string | null
}

/**
 * `wholeEvents`: half an event is held back until its other half comes (at most 256 KiB of it), so that after any `push`
 * an error event can follow. Without it, and without `hideUsage`, chunks pass at once as they are.
 */
export type MeterOptions = { readonly hideUsage: boolean; readonly wholeEvents?: boolean }

export type Meter = {
  /** Takes a chunk of the (decoded) answer, gives what may be passed on now, in order. The chunk itself where nothing is hidden. */
  readonly push: (chunk: Buffer) => readonly Buffer[]
  /** Whether a first token of content has been seen: for the time to first token. */
  readonly hasContent: () => boolean
  /**
   * The answer has ended (`whole`) or broke off. Gives the bytes held back, if any, and what the answer said. Half an
   * event of an answer that broke off is not passed on.
   */
  readonly end: (whole: boolean) => { readonly rest: readonly Buffer[]; readonly reading: Reading }
}

export type Reading = {
  readonly model: string | null
  readonly responseId: string | null
  /** In OpenTelemetry's counting (cached inside input, reasoning inside output); null where the provider said nothing. */
  readonly usage: Usage | null
  /** What prices need beyond `usage`, in genai-prices' names (`cache_write_1h_tokens`, `input_audio_tokens`, …). */
  readonly extras: Readonly<Record<string, number>>
  /** The provider's usage object, verbatim. */
  readonly rawUsage: unknown
  /** US dollars, where the provider states its own bill. */
  readonly wireCostUsd: number | null
  /** The first choice's finish reason, in the provider's word; Responses: `status`. */
  readonly finishReason: string | null
  /** An error in the body or inside a 200 stream. `type` is the provider's word: `type`, else `status`, else `code`. */
  readonly error: { readonly type: string; readonly message: string } | null
  /** Whether the answer is one of this protocol and came to its proper end. */
  readonly complete: boolean
  /** A background answer that has been queued: its end comes by another request. */
  readonly queued: boolean
  /** Output seen: the text's UTF-8 bytes and an estimate of its tokens that does not fall below what was streamed. */
  readonly outputBytes: number
  readonly estimatedOutputTokens: number
  /** What the model said, as turns in the protocol's own shape: as a client would send it back. */
  readonly said: readonly unknown[]
}

/** What the client is told when we refuse or fail. `facts` stand in the error object beside the protocol's own fields. */
export type Refusal = {
  readonly code: string
  readonly status: number
  readonly message: string
  readonly retryAfterMs?: number
  readonly facts?: Readonly<Record<string, unknown>>
}
