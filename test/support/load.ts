import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'
import type { Chance } from './chance.ts'

/**
 * Agents at work: calls at an even pace, whatever becomes of those before them, with and without streaming, of two
 * protocols. Each call carries its number as the label `n`, so that its row can be told from all others.
 */
export type Load = {
  readonly calls: readonly Call[]
  /** Sends no more, and waits for what is under way. */
  stop(): Promise<void>
}

export type Call = {
  readonly n: string
  /** `performance.now()` when it was sent. */
  readonly at: number
  readonly ms: number
  /**
   * `answered`: whole, with its proper end. `refused`: by a status of the gateway. `broken`: anything else; the connection
   * was refused or ended early.
   */
  readonly how: 'answered' | 'refused' | 'broken'
  /** The refusal's code, or what broke. */
  readonly why: string
  readonly requestId: string | null
}

export type LoadOptions = {
  readonly url: string
  readonly key: string
  readonly perSecond: number
  readonly chance: Chance
  /** In front of numbers and runs, where several loads fill one table. */
  readonly name?: string
}

/** A call that takes longer hangs. */
const callMs = 30_000
/** Far more than are under way when all goes well; beyond it calls would wait here, and the pace be a lie. */
const mostConnections = 512
/** Calls of one run. */
const steps = 8

export function startLoad(options: LoadOptions): Load {
  const { chance, name = 'load' } = options
  const network = new Agent({ connections: mostConnections, headersTimeout: callMs, bodyTimeout: callMs })
  const calls: Call[] = []
  const underWay = new Set<Promise<void>>()
  const closing = new AbortController()
  let sent = 0

  const send = async (n: number): Promise<void> => {
    const tag = `${name}-${n}`
    const at = performance.now()
    const stream = chance.random() < 0.5
    const protocol = chance.random() < 0.7 ? openai : anthropic
    const tokens = chance.between(4, 24)
    const prompt = `question ${tag} [[tokens=${tokens} chunk=4 delay=${chance.between(0, 30)} interval=${chance.between(1, 8)}]]`
    const end = (how: Call['how'], why: string, requestId: string | null = null) =>
      void calls.push({ n: tag, at, ms: performance.now() - at, how, why, requestId })
    try {
      const { statusCode, headers, body } = await request(options.url + protocol.path, {
        dispatcher: network,
        method: 'POST',
        headers: {
          ...protocol.headers(options.key),
          'content-type': 'application/json',
          'x-sluice-run-id': `${name}-run-${Math.floor(n / steps)}`,
          'x-sluice-labels': JSON.stringify({ n: tag }),
        },
        body: JSON.stringify({
          model: 'simulator',
          max_tokens: 64,
          stream,
          messages: [{ role: 'user', content: prompt }],
        }),
      })
      const text = await body.text()
      const requestId = headers['x-sluice-request-id']?.toString() ?? null
      if (statusCode !== 200) return end('refused', codeIn(text) ?? String(statusCode), requestId)
      const isWhole = stream ? text.includes(protocol.lastEvent) : JSON.parse(text).id !== undefined
      return isWhole ? end('answered', '', requestId) : end('broken', 'no end', requestId)
    } catch (error) {
      end('broken', codeOf(error))
    }
  }

  const run = async () => {
    const began = performance.now()
    while (!closing.signal.aborted) {
      const due = Math.floor(((performance.now() - began) / 1000) * options.perSecond)
      // After a stall of this process no burst: the pace is what is tried, not this machine.
      for (sent = Math.max(sent, due - Math.floor(options.perSecond / 4)); sent < due; sent++) {
        const call = send(sent).finally(() => underWay.delete(call))
        underWay.add(call)
      }
      await sleep(5, undefined, { signal: closing.signal }).catch(() => {})
    }
  }
  const running = run()
  return {
    calls,
    async stop() {
      closing.abort()
      await running
      await Promise.all(underWay)
      await network.destroy()
    },
  }
}

const openai = {
  path: '/v1/chat/completions',
  lastEvent: 'data: [DONE]',
  headers: (key: string) => ({ authorization: `Bearer ${key}` }),
}
const anthropic = {
  path: '/v1/messages',
  lastEvent: 'event: message_stop',
  headers: (key: string) => ({ 'x-api-key': key, 'anthropic-version': '2023-06-01' }),
}

function codeIn(text: string): string | null {
  try {
    const { error } = JSON.parse(text) as { error?: { code?: string } }
    return error?.code ?? null
  } catch {
    return null
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error ? String((error as NodeJS.ErrnoException).code ?? error.message) : String(error)

/** What became of the calls, and how long those that were answered took. */
export function tallyOf(calls: readonly Call[]) {
  const count = (how: Call['how']) => calls.filter(call => call.how === how).length
  const ms = calls
    .filter(call => call.how === 'answered')
    .map(call => call.ms)
    .sort((a, b) => a - b)
  const at = (share: number) => Math.round(ms[Math.min(ms.length - 1, Math.floor(ms.length * share))] ?? Number.NaN)
  return {
    sent: calls.length,
    answered: count('answered'),
    refused: count('refused'),
    broken: count('broken'),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
  }
}
