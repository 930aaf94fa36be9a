import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent as Network, request } from 'undici'
import { metadataOf, prices, type Script } from './provider.ts'

/** An agent with a key of its own. What it may spend stands in its entry of `sluice.yaml`. */
export type Agent = { readonly name: string; readonly key: string; readonly entry: object }

export const agentOf = (name: string, entry: object = {}): Agent => ({
  name,
  key: `slk_${name.replace(/\W/g, '')}_${randomBytes(16).toString('hex')}`,
  entry,
})

/** A `sluice.yaml` (JSON is YAML) with the scripted provider for every model that begins with `scripted`. */
export const configOf = (origin: string, agents: readonly Agent[], more: object = {}): string =>
  JSON.stringify({
    providers: { scripted: scriptedAt(origin) },
    routes: [{ models: ['scripted*'], targets: [{ provider: 'scripted' }] }],
    agents: Object.fromEntries(agents.map(({ name, key, entry }) => [name, { keys: [hashOf(key)], ...entry }])),
    ...more,
  })

export const scriptedAt = (origin: string) => ({
  protocol: 'openai',
  baseUrl: `${origin}/v1`,
  apiKey: 'sk-scripted',
  models: ['scripted*'],
  prices,
})

const hashOf = (key: string): string => `sha256:${createHash('sha256').update(key).digest('hex')}`

/** One try of one call, as its client saw it. Times are of `performance.now()`. */
export type Try = {
  readonly call: string
  readonly agent: string
  readonly status: number
  /** The refusal's, or what broke; empty where it was answered. */
  readonly code: string
  readonly error: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** `cut`: the connection ended before the answer did. */
  readonly how: 'whole' | 'cut' | 'none'
  readonly sentAt: number
  /** When the last byte came, and the answer's end. */
  readonly lastAt: number
  readonly endedAt: number
  readonly text: string
}

export type Wish = Script & {
  readonly maxTokens?: number
  readonly stream?: boolean
  readonly model?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly onPiece?: (text: string) => void
}

/** A call that takes longer hangs. */
const callMs = 60_000
/** Each call on a connection of its own: so the kernel spreads them over all gateways behind one port. */
const network = new Network({ pipelining: 0, connections: 1_024, headersTimeout: callMs, bodyTimeout: callMs })

let calls = 0

/** One call, once. Never throws. */
export async function ask(url: string, agent: Agent, wish: Wish = {}): Promise<Try> {
  const { maxTokens = 100, stream = false, model = 'scripted', headers = {}, onPiece, ...script } = wish
  const call = `c${process.pid}-${++calls}`
  const body = JSON.stringify({
    model,
    max_tokens: maxTokens,
    ...(stream ? { stream } : {}),
    messages: [
      { role: 'user', content: `Question ${call}: which of the gates along this river were open last night?` },
    ],
    metadata: metadataOf(call, script),
  })
  return post(url, agent.key, '/v1/chat/completions', body, {
    call,
    agent: agent.name,
    // Its name in our tables: the provider's books have the same.
    headers: { 'x-sluice-task': call, ...headers },
    ...(onPiece === undefined ? {} : { onPiece }),
  })
}

/** Any request with a key. */
export async function post(
  url: string,
  key: string,
  path: string,
  body: string,
  about: {
    readonly call?: string
    readonly agent?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly onPiece?: (text: string) => void
  } = {},
): Promise<Try> {
  const sentAt = performance.now()
  const base = { call: about.call ?? '', agent: about.agent ?? '', sentAt }
  const seen: { status: number; headers: Try['headers']; text: string; lastAt: number } = {
    status: 0,
    headers: {},
    text: '',
    lastAt: sentAt,
  }
  let how: Try['how'] = 'none'
  let broke = ''
  try {
    const answer = await request(url + path, {
      dispatcher: network,
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...about.headers },
      body,
    })
    seen.status = answer.statusCode
    seen.headers = answer.headers
    how = 'cut'
    for await (const piece of answer.body.setEncoding('utf8')) {
      seen.lastAt = performance.now()
      seen.text += piece
      about.onPiece?.(piece)
    }
    how = 'whole'
  } catch (error) {
    broke = error instanceof Error ? String((error as NodeJS.ErrnoException).code ?? error.message) : String(error)
  }
  const error = errorIn(seen.status, seen.text)
  const code = typeof error['code'] === 'string' ? error['code'] : broke
  return { ...base, ...seen, how, error, code, endedAt: performance.now() }
}

/** The error of an answer, or that of a stream's last event; empty where there is none. */
function errorIn(status: number, text: string): Readonly<Record<string, unknown>> {
  const last = status === 200 ? text.split('\n').findLast(line => /^data: \{.*"error"/.test(line)) : text
  if (last === undefined) return {}
  try {
    const { error } = JSON.parse(last.replace(/^data: /, '')) as { error?: Record<string, unknown> }
    return error ?? {}
  } catch {
    return {}
  }
}

/** How long the answer wants the client to wait; half a second where it does not say. */
const waitOf = ({ headers }: Try): number => Math.min(Number(headers['retry-after'] ?? 0.5) * 1_000, 5_000)

/** A well-behaved client: tries again while it is told that it may (`again`: which refusals it takes so), until then. */
export async function insist(
  url: string,
  agent: Agent,
  wish: Wish,
  until: number,
  again: (one: Try) => boolean = one => one.status === 429,
): Promise<readonly Try[]> {
  const tries: Try[] = []
  for (;;) {
    const one = await ask(url, agent, wish)
    tries.push(one)
    if (!again(one) || performance.now() > until) return tries
    await sleep(waitOf(one))
  }
}

/** Calls, so many at a time, until one is refused for good or the time is up: spends what is left. */
export async function drain(
  url: string,
  agent: Agent,
  wish: () => Wish,
  until: number,
  options: { readonly wide?: number; readonly again?: (one: Try) => boolean } = {},
): Promise<readonly Try[]> {
  const tries: Try[] = []
  let over = false
  const one = async (): Promise<void> => {
    while (!over && performance.now() < until) {
      const made = await insist(url, agent, wish(), until, options.again)
      tries.push(...made)
      if (made.at(-1)?.status !== 200) over = true
    }
  }
  await Promise.all(Array.from({ length: options.wide ?? 4 }, one))
  return tries
}

/** Calls at an even pace until it is stopped, whatever becomes of those before. */
export function steady(url: string, agent: Agent, wish: () => Wish, perSecond: number) {
  const tries: Try[] = []
  const underWay = new Set<Promise<void>>()
  const timer = setInterval(() => {
    const one = ask(url, agent, wish()).then(made => {
      tries.push(made)
      underWay.delete(one)
    })
    underWay.add(one)
  }, 1_000 / perSecond)
  return {
    tries,
    /** Resolves when the last call has ended. */
    async stop(): Promise<void> {
      clearInterval(timer)
      await Promise.all(underWay)
    },
  }
}

/** Opens a run; throws where it is refused. */
export async function openRun(url: string, agent: Agent, terms: object = {}): Promise<string> {
  const answer = await post(url, agent.key, '/v1/runs', JSON.stringify(terms))
  if (answer.status !== 201) throw new Error(`POST /v1/runs: ${answer.status} ${answer.text.slice(0, 300)}`)
  return (JSON.parse(answer.text) as { id: string }).id
}
