import { type Dispatcher, Pool } from 'undici'
import { percentile } from './figures.ts'
import { requestsOf } from './talk.ts'

/**
 * The load generator, in a process of its own. An open loop sends at fixed moments whatever the answers do, and every
 * latency counts from the moment at which the request should have gone out: a proxy that stalls pays for each request
 * that had to wait. A closed loop keeps so many requests under way; it finds capacity, and its latencies mean nothing.
 */
export type Load = {
  readonly origin: string
  readonly headers: Readonly<Record<string, string>>
  /** The model, with the upstream's knobs. */
  readonly model: string
  readonly stream: boolean
  readonly seconds: number
  /** With `steps` each of the closed loop's is an agent that goes on with its run so often, then begins another one. */
  readonly shape: { readonly open: number } | { readonly closed: number; readonly steps?: number }
  /** Beginning of the run ids: ten single requests each, or one agent's steps, which no header ties. */
  readonly runs: string
}

export type Loaded = {
  readonly answered: number
  readonly failed: number
  /** Not sent, because too many were under way: the target is far beyond its knee. */
  readonly dropped: number
  /** Answers per second, from the first intended send to the last answer. */
  readonly perSecond: number
  readonly latencyMs: Percentiles
  /** To the first content of a stream. */
  readonly firstMs: Percentiles
  /** Events of streams that arrived, and pieces in which they did. */
  readonly events: number
  readonly pieces: number
  readonly faults: readonly string[]
}
export type Percentiles = { readonly p50: number; readonly p99: number; readonly max: number }

/** Sockets to one target, and requests that may wait for them: beyond that more would only measure this process. */
const CONNECTIONS = 256
const MOST_UNDER_WAY = 10_000
/** After the last send: what has not come by then has failed. */
const PATIENCE_MS = 10_000

const drive = async (load: Load): Promise<Loaded> => {
  const pool = new Pool(load.origin, { connections: CONNECTIONS, headersTimeout: 30_000, bodyTimeout: 30_000 })
  const latencies: number[] = []
  const firsts: number[] = []
  const faults = new Set<string>()
  let [sent, answered, failed, dropped, events, pieces, underWay] = [0, 0, 0, 0, 0, 0, 0]
  let idle: () => void = () => {}
  let lastAnswer = 0

  const send = (intended: number, asked: Asked, then: () => void): void => {
    underWay++
    let status = 0
    let head = true
    const over = (fault: string | null): void => {
      underWay--
      lastAnswer = performance.now()
      if (fault !== null) {
        failed++
        // A handful of different texts is enough to see what is wrong.
        if (faults.size < 8) faults.add(fault)
      } else {
        answered++
        latencies.push(lastAnswer - intended)
      }
      then()
      if (underWay === 0) idle()
    }
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: () => {},
      onResponseStart: (_controller, code) => {
        status = code
      },
      onResponseData: (_controller, chunk) => {
        if (!load.stream) return
        pieces++
        for (let at = chunk.indexOf('\n\n'); at >= 0; at = chunk.indexOf('\n\n', at + 2)) events++
        if (!head) return
        head = false
        firsts.push(performance.now() - intended)
      },
      onResponseEnd: () => over(status === 200 ? null : `status ${status}`),
      onResponseError: (_controller, error) => over(error.message),
    }
    pool.dispatch({ path: '/v1/chat/completions', method: 'POST', ...asked }, handler)
  }

  const begun = performance.now()
  const until = begun + load.seconds * 1000
  if ('closed' in load.shape) {
    const { closed, steps } = load.shape
    for (let i = 0; i < closed; i++) {
      const next = steps === undefined ? () => single(load, sent++) : agent(load, i, steps)
      const again = (): void => {
        const now = performance.now()
        if (now < until) send(now, next(), again)
      }
      again()
    }
    await new Promise<void>(resolve => setTimeout(resolve, load.seconds * 1000))
  } else {
    const gapMs = 1000 / load.shape.open
    for (let next = begun; next < until; ) {
      const now = performance.now()
      for (; next <= now && next < until; next += gapMs) {
        if (underWay >= MOST_UNDER_WAY) dropped++
        else send(next, single(load, sent++), () => {})
      }
      await new Promise<void>(resolve => setTimeout(resolve, 1))
    }
  }
  await new Promise<void>(resolve => {
    idle = resolve
    if (underWay === 0) resolve()
    else setTimeout(resolve, PATIENCE_MS)
  })
  failed += underWay
  await pool.destroy()
  const perSecond = answered / ((lastAnswer - begun) / 1000)
  const times = { latencyMs: percentiles(latencies), firstMs: percentiles(firsts) }
  return { answered, failed, dropped, perSecond, ...times, events, pieces, faults: [...faults] }
}

type Asked = { readonly headers: Record<string, string>; readonly body: string }

const single = (load: Load, number: number): Asked => ({
  headers: {
    'content-type': 'application/json',
    ...load.headers,
    'x-sluice-run-id': `${load.runs}-${Math.floor(number / 10)}`,
  },
  body: bodyOf(load, number),
})

/** Without a header: a step is known by the conversation that it goes on with. */
const agent = (load: Load, which: number, steps: number): (() => Asked) => {
  const headers = { 'content-type': 'application/json', ...load.headers }
  const requests = requestsOf(`${load.runs}-${which}`, load.model, steps)
  return () => ({ headers, body: requests.next().value })
}

/** About 200 bytes. No two are the same, so that no cache can flatter. */
const bodyOf = (load: Load, number: number): string =>
  `{"model":"${load.model}","messages":[{"role":"user","content":"Question ${String(number).padStart(9, '0')}: how many of the gates along this river were open last night, and who was it that counted them?"}],"max_tokens":1024${load.stream ? ',"stream":true' : ''}}`

const percentiles = (values: number[]): Percentiles => {
  const sorted = Float64Array.from(values).sort()
  return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), max: percentile(sorted, 1) }
}

process.on('disconnect', () => process.exit(0))
process.on('message', async message => {
  process.send?.(await drive(message as Load)) // both ends of this pipe are ours
})
process.send?.({})
