import { hash } from 'node:crypto'
import type { Work } from '../schemas/work.ts'
import { markOf } from '../services/core/conversation/thread.ts'
import type { Conversation } from '../services/gateway/protocols/protocol.ts'
import { matchRoute } from '../services/gateway/protocols/protocols.ts'
import { historyIn } from '../services/gateway/protocols/turns.ts'
import { openRuns, type Run, type Runs } from '../services/gateway/runs/runs.ts'
import { type Dialect, dialects } from './dialects.ts'
import { median } from './figures.ts'

/**
 * Files requests under their runs, in a process of its own, with the gateway's very functions: the turns in a body are
 * found, the run that they belong to, and when the request is answered what a later one can be tied to is kept. The
 * clock runs from behind the parsing of the body, because the gateway has to parse it anyway: with the processor's caches
 * full of that, which makes all work behind a long body slower.
 */
export type Filing = {
  readonly dialect: string
  /** In the body, instructions among them; measured one after the other. */
  readonly messages: readonly number[]
  /** Runs of the same agent and key that are under way, of ten calls each. */
  readonly live: number
  readonly requests: number
}

/**
 * Microseconds for each request, by the clock: nothing waits in between, and the kernel's own account has ticks of
 * milliseconds. The median leaves those out in which somebody else had the core.
 */
export type Filed = {
  readonly messages: number
  readonly filingUs: number
  /** Of what nobody knew: read once, brought into one spelling once, hashed once. */
  readonly newBytesUs: number
  readonly parsingUs: number
  /** What the request adds to what was said before, and its answer. */
  readonly newBytes: number
  readonly bodyBytes: number
}

/** In which the compiler gets done with all that is on the way. */
const warmRequests = 3_000
const callsBefore = 10
const scope = 'bench key-1'

type Asked = {
  /** Null: the first request of a run. */
  readonly run: Run | null
  readonly text: string
  readonly answer: unknown
}

function measureAll({ dialect: name, messages, live, requests }: Filing): readonly Filed[] {
  const dialect = dialects.find(one => one.name === name)
  if (dialect === undefined) throw new Error(`there is no dialect ${name}`)
  let minted = 0
  const runs = openRuns({ mint: () => `run-bench-${++minted}`, idleMs: () => 1_800_000 })
  const known = Array.from({ length: live }, (_, i) => liveRun(runs, dialect, `live ${i}`))
  measure(runs, known, dialect, 10, warmRequests)
  return messages.map(count => measure(runs, known, dialect, count, requests))
}

function measure(runs: Runs, known: readonly Run[], dialect: Dialect, messages: number, requests: number): Filed {
  const { conversation } = toolsOf(dialect)
  const ask = asker(runs, known, dialect, messages)
  const [filing, news, parsing]: [number[], number[], number[]] = [[], [], []]
  for (let n = 0; n < requests; n++) {
    const { run, text, answer } = ask()
    const body = timed(parsing, () => JSON.parse(text) as unknown)
    const found = timed(filing, () => file(runs, conversation, body, answer))
    // A figure of requests that went elsewhere would be one of something else.
    if (run !== null && found !== run) throw new Error(`${dialect.name}: a request was not filed under its run`)
    const fresh = [...freshIn(JSON.parse(text), dialect), answer]
    timed(news, () => {
      for (const turn of fresh) digest(conversation.read(turn).text)
    })
  }
  const { text, answer } = ask()
  const sizes = [...freshIn(JSON.parse(text), dialect), answer].map(turn => Buffer.byteLength(JSON.stringify(turn)))
  return {
    messages,
    filingUs: median(filing),
    newBytesUs: median(news),
    parsingUs: median(parsing),
    newBytes: sizes.reduce((sum, size) => sum + size, 0),
    bodyBytes: Buffer.byteLength(text),
  }
}

/** What is new in it stands at its end. */
function freshIn(body: unknown, dialect: Dialect): readonly unknown[] {
  const turns = (body as Readonly<Record<string, unknown>>)[dialect.list] // written by us, as a list
  return Array.isArray(turns) ? turns.slice(-2) : []
}

/** Of all requests: no two say the same. */
let made = 0

/** Makes requests of runs under way, each with a step of which nobody has heard; of one message, the first of a run. */
function asker(runs: Runs, known: readonly Run[], dialect: Dialect, messages: number): () => Asked {
  const { conversation, write } = toolsOf(dialect)
  const steps = Math.floor((messages - 2) / 2)
  const middle = Array.from({ length: Math.max(steps - 1, 0) }, (_, i) =>
    dialect.step(`${i}`, idOf(`middle ${i}`)),
  ).flat()
  const middleJson = middle.map(turn => `,${JSON.stringify(turn)}`).join('')
  return () => {
    const n = `${++made}`
    const first = dialect.asks(`Question ${n}: where along the coast does it rain, and for how long will it do so?`)
    const [answer] = dialect.step(`answer ${n}`, idOf(`answer ${n}`))
    if (steps < 1) return { run: null, text: write([first], '', []), answer }
    // A stride that is no divisor: the next request is of a run that was not heard of for as long as possible.
    const run = known[(made * 7919) % known.length] as Run // one is live at least
    const step = dialect.step(n, idOf(n))
    const before = [...dialect.head, first]
    const earlier = historyIn(conversation, { [dialect.list]: [...before, ...middle] })
    // As if the turns before had been chained already.
    const parent = { length: earlier.length, first: '', last: '', chain: digest(n), answer: null, ids: [] }
    const mark = markOf(earlier, [conversation.read(step[0])], parent, digest)
    runs.remember(scope, { work: workOf(run.id), at: Date.now(), own: true, mark, responseId: null })
    return { run, text: write(before, middleJson, step), answer }
  }
}

/** What the gateway does for a request between its JSON and its record, as far as the run is concerned. */
function file(runs: Runs, conversation: Conversation, body: unknown, answer: unknown): Run {
  const history = historyIn(conversation, body)
  const told = { scope, claim: null, parentRunId: null, previousResponseId: null, history }
  const found = runs.of(told)
  runs.begun(found.run, about)
  const said = [conversation.read(answer)]
  runs.ended(found.run)
  runs.answered(told, found, said, null)
  return found.run
}

/** A run that has made its calls, each filed like any other. */
function liveRun(runs: Runs, dialect: Dialect, name: string): Run {
  const { conversation } = toolsOf(dialect)
  const messages = [...dialect.head, dialect.asks(`Question of ${name}: where along the coast does it rain?`)]
  for (let call = 1; ; call++) {
    const [said, then] = dialect.step(`${name} ${call}`, idOf(`${name} ${call}`))
    const run = file(runs, conversation, { [dialect.list]: messages }, said)
    if (call === callsBefore) return run
    messages.push(said, then)
  }
}

function toolsOf({ path, list }: Dialect) {
  const hit = matchRoute('POST', path)
  const conversation = hit?.protocol.conversation(hit.matched) ?? null
  if (conversation === null) throw new Error(`no conversation at ${path}`)
  return {
    conversation,
    write: (before: readonly unknown[], middle: string, after: readonly unknown[]): string => {
      const rest = after.map(turn => `,${JSON.stringify(turn)}`).join('')
      return `{"model":"bench","${list}":[${before.map(turn => JSON.stringify(turn)).join(',')}${middle}${rest}]}`
    },
  }
}

const workOf = (runId: string): Work => ({ agent: 'bench', key_id: 'key-1', run_id: runId, root_run_id: runId })
const about = workOf('run-bench')

/** Two ids never are the same, and each looks like a provider's. */
const idOf = (name: string): string => hash('sha256', name, 'hex').slice(0, 24)
const digest = (text: string): string => hash('sha1', text, 'base64url')

/** Keeps how many microseconds it took. */
function timed<Made>(times: number[], act: () => Made): Made {
  const before = performance.now()
  const made = act()
  times.push((performance.now() - before) * 1000)
  return made
}

process.on('disconnect', () => process.exit(0))
process.on('message', message => {
  process.send?.(measureAll(message as Filing)) // both ends of this pipe are ours
})
process.send?.({})
