import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * A scripted provider (OpenAI chat completions) that keeps its own books: what it says it billed is the truth against
 * which a gateway's ledger is held. How it shall answer stands in the request's `metadata`, which passes any gateway.
 */
export type Provider = {
  readonly origin: string
  /** Every call that arrived, in order of arrival. */
  readonly books: readonly Entry[]
  /** What it billed for those calls, in nano-dollars. */
  readonly billed: (which?: (entry: Entry) => boolean) => number
  readonly close: () => Promise<void>
}

export type Entry = {
  readonly call: string
  readonly begunAt: number
  readonly inputTokens: number
  /** So far, while it is open. */
  outputTokens: number
  /** `left`: whoever asked hung up. Only `failed` costs nothing. */
  state: 'open' | 'done' | 'left' | 'failed'
  /** `performance.now()`; null while it is open. */
  endedAt: number | null
}

/** What a call asks of the provider. */
export type Script = {
  /** Output tokens that it wants to say; `max_tokens` is respected. */
  readonly say?: number
  /** Before the first byte. */
  readonly waitMs?: number
  /** Between chunks of five tokens. */
  readonly everyMs?: number
  /** Bills so many output tokens, whatever it said. */
  readonly bill?: number
  /** Answers this status, at no cost. */
  readonly status?: number
}

/** Nano-dollars a token: whole, so that sums are exact. */
export const nanoUsd = { input: 10, output: 4_000 } as const
/** The same as `sluice.yaml` has it: US dollars per million tokens. */
export const prices = { '*': { input: nanoUsd.input / 1_000, output: nanoUsd.output / 1_000 } } as const

export const costOf = ({ inputTokens, outputTokens, state }: Entry): number =>
  state === 'failed' ? 0 : inputTokens * nanoUsd.input + outputTokens * nanoUsd.output

/** The script as `metadata` has it: OpenAI's is text by text. */
export const metadataOf = (call: string, script: Script): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries({ call, ...script }).map(([name, value]) => [name, String(value)]))

type Body = {
  readonly model?: string
  readonly stream?: boolean
  readonly max_tokens?: number
  readonly messages?: readonly { readonly content?: unknown }[]
  readonly metadata?: Readonly<Record<string, string>>
  readonly stream_options?: { readonly include_usage?: boolean }
}

const chunkTokens = 5

/** `reliable`: whatever status it is asked for, it answers. */
export async function startProvider(options: { readonly reliable?: boolean } = {}): Promise<Provider> {
  const books: Entry[] = []
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
    })
    request.on('end', () => answer(books, JSON.parse(text) as Body, options.reliable === true, response))
    request.on('error', () => response.destroy())
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // listening on TCP, so not a pipe's name
  return {
    origin: `http://127.0.0.1:${port}`,
    books,
    billed: (which = () => true) => books.filter(which).reduce((sum, entry) => sum + costOf(entry), 0),
    close: async () => {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

function answer(books: Entry[], body: Body, reliable: boolean, response: ServerResponse<IncomingMessage>): void {
  const { metadata = {}, messages = [], max_tokens: most = 4_096 } = body
  const number = (name: keyof Script): number | null => (metadata[name] === undefined ? null : Number(metadata[name]))
  const say = Math.min(number('say') ?? 40, most)
  const words = messages.flatMap(({ content }) => (typeof content === 'string' ? content.split(/\s+/) : []))
  const call = metadata['call'] ?? ''
  const entry: Entry = {
    call,
    begunAt: performance.now(),
    inputTokens: words.length + 4 * messages.length,
    outputTokens: 0,
    state: 'open',
    endedAt: null,
  }
  books.push(entry)
  let timer: NodeJS.Timeout | undefined
  const end = (state: Entry['state']): void => {
    if (entry.state !== 'open') return
    clearTimeout(timer)
    entry.state = state
    entry.endedAt = performance.now()
  }
  response.on('close', () => end('left'))
  const bill = number('bill') ?? say
  const usage = (output: number) => ({
    prompt_tokens: entry.inputTokens,
    completion_tokens: output,
    total_tokens: entry.inputTokens + output,
  })
  const head = { id: `chatcmpl-${call}`, created: 1_767_225_600, model: body.model }

  const begin = (): void => {
    const status = number('status')
    if (status !== null && !reliable) {
      end('failed')
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end('{"error":{"message":"scripted","type":"server_error","param":null,"code":null}}')
    } else if (body.stream === true) {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      piece()
    } else {
      entry.outputTokens = bill
      end('done')
      const message = { role: 'assistant', content: ' word'.repeat(say) }
      const choices = [{ index: 0, message, logprobs: null, finish_reason: 'stop' }]
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ ...head, object: 'chat.completion', choices, usage: usage(bill) }))
    }
  }
  const event = (choices: readonly object[], more: object = {}): void =>
    void response.write(
      `data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices, usage: null, ...more })}\n\n`,
    )
  const delta = (content: string, finish: string | null = null): void =>
    event([{ index: 0, delta: { content }, logprobs: null, finish_reason: finish }])
  const piece = (): void => {
    if (response.destroyed) return
    if (entry.outputTokens < say) {
      const next = Math.min(chunkTokens, say - entry.outputTokens)
      entry.outputTokens += next
      delta(' word'.repeat(next))
      timer = setTimeout(piece, number('everyMs') ?? 0)
      return
    }
    entry.outputTokens = bill
    end('done')
    delta('', 'stop')
    if (body.stream_options?.include_usage === true) event([], { usage: usage(bill) })
    response.end('data: [DONE]\n\n')
  }
  timer = setTimeout(begin, number('waitMs') ?? 0)
}
