import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { saidIn, stepIn } from './talk.ts'

/**
 * The scripted provider of the bench: OpenAI chat completions, in a process of its own. Knobs stand in the model's name,
 * so that they pass any gateway: `bench,latency=50,tokens=100,interval=5,chunk=2,errors=10,stalls=1,usage=0,asks=9`.
 *
 * latency: ms before the first byte · tokens: of the answer · interval: ms between chunks · chunk: tokens in one chunk
 * errors, stalls: so many of a thousand requests, at equal distances · usage=0: says nothing about usage
 * asks: for a tool in the first steps of an agent, as many of them; it answers in words from then on
 */
type Knobs = {
  readonly latency: number
  readonly tokens: number
  readonly interval: number
  readonly chunk: number
  readonly errors: number
  readonly stalls: number
  readonly usage: number
  readonly asks: number
}
const USUAL: Knobs = { latency: 0, tokens: 24, interval: 0, chunk: 1, errors: 0, stalls: 0, usage: 1, asks: 0 }

const knobsOf = (model: string): Knobs => ({
  ...USUAL,
  ...Object.fromEntries(
    model
      .split(',')
      .slice(1)
      .map(knob => knob.split('='))
      .map(([name = '', value]) => [name, Number(value)]),
  ),
})

type Prepared = {
  readonly knobs: Knobs
  /** No two are the same: who hears the same again and again gives a breaker cause to speak. */
  readonly whole: (number: number) => Buffer
  readonly asking: (step: string) => Buffer
  readonly first: string
  readonly chunk: string
  readonly last: string
  readonly usage: string
}

const prepare = (model: string): Prepared => {
  const knobs = knobsOf(model)
  const head = {
    id: 'chatcmpl-bench',
    created: 1_767_225_600,
    model,
    service_tier: 'default',
    system_fingerprint: 'fp_bench',
  }
  const usage = {
    prompt_tokens: 32,
    completion_tokens: knobs.tokens,
    total_tokens: 32 + knobs.tokens,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
  const said = knobs.usage === 0 ? {} : { usage }
  const message = {
    role: 'assistant',
    content: `${'word '.repeat(knobs.tokens)}${numberAt(0)}`,
    refusal: null,
    annotations: [],
  }
  const event = (choices: readonly object[], more: object = {}): string =>
    `data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices, ...more })}\n\n`
  const step = (delta: object, finish_reason: string | null): string =>
    event([{ index: 0, delta, logprobs: null, finish_reason }])
  const whole = (message: unknown, finish_reason: string): Buffer => {
    const choices = [{ index: 0, message, logprobs: null, finish_reason }]
    return Buffer.from(JSON.stringify({ ...head, object: 'chat.completion', choices, ...said }))
  }
  return {
    knobs,
    whole: numbered(whole(message, 'stop')),
    asking: step => whole(saidIn(step), 'tool_calls'),
    first: step({ role: 'assistant', content: '' }, null),
    chunk: step({ content: 'word '.repeat(knobs.chunk) }, null),
    last: step({}, 'stop'),
    usage: knobs.usage === 0 ? '' : event([], { usage }),
  }
}

const numberAt = (n: number): string => String(n).padStart(9, '0')

const numbered = (text: Buffer): ((number: number) => Buffer) => {
  const at = text.indexOf(numberAt(0))
  return number => {
    const copy = Buffer.from(text)
    copy.write(numberAt(number), at, 'latin1')
    return copy
  }
}

/** One entry per combination of knobs that a run uses: a handful. */
const prepared = new Map<string, Prepared>()
const of = (model: string): Prepared => {
  const found = prepared.get(model) ?? prepare(model)
  prepared.set(model, found)
  return found
}

let served = 0
const falls = (perMille: number): boolean => perMille > 0 && served % Math.max(Math.round(1000 / perMille), 1) === 0

/** Read with two expressions: parsing would cost this process more than answering does. */
const answer = (body: string, response: ServerResponse): void => {
  const script = of(/"model":\s*"([^"]*)"/.exec(body)?.[1] ?? 'bench')
  const { knobs } = script
  served++
  if (falls(knobs.stalls)) return
  const go = (): void => {
    if (falls(knobs.errors)) {
      response.writeHead(500, { 'content-type': 'application/json' })
      response.end('{"error":{"message":"scripted","type":"server_error","param":null,"code":null}}')
    } else if (/"stream":\s*true/.test(body)) stream(script, /"include_usage":\s*true/.test(body), response)
    else {
      const at = knobs.asks > 0 ? stepIn(body) : null
      const whole = at !== null && at.number <= knobs.asks ? script.asking(at.step) : script.whole(served)
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': whole.length })
      response.end(whole)
    }
  }
  if (knobs.latency > 0) setTimeout(go, knobs.latency)
  else go()
}

const stream = (script: Prepared, counted: boolean, response: ServerResponse): void => {
  const { knobs } = script
  let left = Math.ceil(knobs.tokens / knobs.chunk)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(script.first)
  const end = (): void => {
    response.end(`${script.last}${counted ? script.usage : ''}data: [DONE]\n\n`)
  }
  if (knobs.interval === 0) {
    while (left-- > 0) response.write(script.chunk)
    end()
    return
  }
  const timer = setInterval(() => {
    response.write(script.chunk)
    if (--left > 0) return
    clearInterval(timer)
    end()
  }, knobs.interval)
  response.on('close', () => clearInterval(timer))
}

const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', chunk => chunks.push(chunk))
  request.on('end', () => answer(Buffer.concat(chunks).toString('latin1'), response))
})
process.on('disconnect', () => process.exit(0))
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo // listening on TCP, so not a pipe's name
  process.send?.({ origin: `http://127.0.0.1:${port}` })
})
