import type { Event } from '../../../schemas/events.ts'
import type { LlmCompleted } from '../../../schemas/llm.ts'
import { argsOf, type Volatile } from './args.ts'
import { markOf, mixOf } from './mark.ts'
import { append, toolOf } from './rule.ts'

/**
 * A call that has ended, as rules compare it: what was asked and what came back, each as one number. Tools (and other
 * agents) are one lane of a run, its model the other: a tool that is asked the same again and again must not be hidden by
 * a model that words it anew each time.
 */
export type Step = {
  readonly lane: Lane
  /** Of the tool, the agent or the model. */
  readonly name: string
  /** Null: not known, so it is no repeat of anything. */
  readonly call: number | null
  /** Null: nothing came back, or what came back is told by the calls of tools that it asks for. */
  readonly result: number | null
  /** The how-manieth of its lane that ended. */
  readonly at: number
  /** How many of its lane had ended when it was asked for; null where that was not seen. */
  readonly since: number | null
  /** The same call with the same result ended while it was under way: one round, not two. */
  readonly twin: boolean
  /** The same call had failed before, and it was made unchanged. */
  readonly retry: boolean
  /** See `isAnew`. */
  readonly isAnew: boolean
}
export type Lane = 'tool' | 'llm'

/** A step that was heard of, to tell whether a later one was asked for in the knowledge of it. */
export type Heard = { readonly run: string; readonly at: number }
export const unheard: Heard = { run: '', at: 0 }
export const heardNow = ({ at }: Step, { run_id: run }: Event): Heard => ({ run, at })
/** What was under way together is not "in a row": whoever asked had not heard yet. Where nothing is known, it is. */
export const knew = ({ since }: Step, { run_id: run }: Event, heard: Heard): boolean =>
  since === null || run !== heard.run || since >= heard.at

/** What of a run's past is needed to read its next step. Changed in place; JSON. */
export type Trail = Readonly<Record<Lane, LaneTrail>> & {
  /** The request whose answer asked for tools last. */
  asking: string | null
}
type LaneTrail = {
  ended: number
  /** Calls under way, by id, and how many had ended when they were asked for. */
  readonly open: Pair<string>[]
  /** The last steps, as pairs of call and result, and their numbers. */
  readonly last: Pair<number>[]
  /** Calls that failed, and their numbers. */
  readonly failed: Pair<number>[]
}
type Pair<Key> = readonly [key: Key, at: number]

/** More calls at once than this are forgotten from the oldest on: they then count as asked for one after the other. */
const openKept = 64
const lastKept = 64
const failedKept = 16

const newLane = (): LaneTrail => ({ ended: 0, open: [], last: [], failed: [] })
export const newTrail = (): Trail => ({ tool: newLane(), llm: newLane(), asking: null })

/** Takes an event of the run; a step where it ended a call. */
export function follow(trail: Trail, event: Event, volatile: Volatile): Step | null {
  switch (event.type) {
    case 'admission.granted':
      open(trail.llm, event.request_id ?? event.id)
      return null
    case 'tool.called':
      open(trail.tool, toolCallKey(event))
      if (event.observed === 'conversation' && event.request_id !== undefined) trail.asking = event.request_id
      return null
    case 'tool.returned': {
      const name = toolOf(event)
      const call = markOf(argsOf(event, volatile), markOf(name))
      return end(trail, 'tool', toolCallKey(event), { name, call, whole: call, result: resultOf(event), event })
    }
    case 'agent.returned': {
      const name = event.peer_agent
      const known = event.args_hash !== undefined || event.args !== undefined
      const call = known ? markOf(argsOf(event, volatile), markOf(`agent ${name}`)) : null
      return end(trail, 'tool', null, { name, call, whole: call, result: resultOf(event), event })
    }
    case 'llm.completed': {
      const name = event.model_requested ?? event.model ?? ''
      const key = event.request_id ?? event.id
      const { call, whole, result } = asked(event, name)
      const toTools = event.request_id !== undefined && event.request_id === trail.asking
      const anew = isAnew(event)
      return end(trail, 'llm', key, {
        name,
        call,
        whole,
        result: toTools || anew ? null : result,
        isAnew: anew,
        event,
      })
    }
    default:
      return null
  }
}

const open = (lane: LaneTrail, key: string): void => append(lane.open, [key, lane.ended], openKept)

type Ended = {
  readonly name: string
  readonly call: number | null
  /** What a retry repeats. */
  readonly whole: number | null
  readonly result: number | null
  readonly isAnew?: boolean
  readonly event: Extract<Event, { readonly outcome: string; readonly type: `${string}.${'returned' | 'completed'}` }>
}

function end(trail: Trail, lane: Lane, key: string | null, told: Ended): Step {
  const { name, call, whole, result, isAnew = false, event } = told
  const was = trail[lane]
  const i = key === null ? -1 : was.open.findIndex(([id]) => id === key)
  const since = was.open[i]?.[1] ?? null
  const at = was.ended + 1
  const pair = call === null || result === null ? null : pairOf(call, result)
  const isAfter = (known: readonly Pair<number>[], mark: number | null) =>
    mark !== null && known.some(([key, n]) => key === mark && (since === null || n <= since))
  const twin = since !== null && pair !== null && was.last.some(([key, n]) => key === pair && n > since)
  const retry = was.failed.length > 0 && isAfter(was.failed, whole)
  was.ended = at
  if (i >= 0) was.open.splice(i, 1)
  // Only what ends while something else is under way can have a twin.
  if (was.open.length === 0) was.last.length = 0
  else if (pair !== null) append(was.last, [pair, at], lastKept)
  if (whole !== null) noteFailure(was.failed, whole, at, event.outcome === 'error')
  return { lane, name, call, result, at, since, twin, retry, isAnew }
}

/**
 * How whoever called says that it is one run. Where it says nothing, the same first question asked again is found to be a
 * retry of the same run; but whether it is one, or another piece of work that begins alike, nobody knows.
 */
const named: ReadonlySet<string> = new Set(['header', 'token', 'baggage', 'peer-header', 'traceparent', 'session'])

/** A first question, in a run that nobody named. */
export const isAnew = ({ data, run_source }: Pick<LlmCompleted, 'data' | 'run_source'>): boolean =>
  (data?.thread?.length ?? 2) <= 1 && !named.has(run_source ?? 'header')

/** A call that failed is known until it is made again. */
function noteFailure(failures: Pair<number>[], whole: number, at: number, failed: boolean): void {
  const before = failures.findIndex(([key]) => key === whole)
  if (before >= 0) failures.splice(before, 1)
  if (failed) append(failures, [whole, at], failedKept)
}

/** A call and its result as one number. */
export const pairOf = (call: number, result: number): number => mixOf(call, result)

const toolCallKey = (event: { tool_call_id?: string | undefined; args_hash?: string | undefined; tool: string }) =>
  event.tool_call_id ?? `${event.tool} ${event.args_hash ?? ''}`

/** An error without words is known by its kind. Without any of these nothing can be said of it: it is no repeat. */
function resultOf({
  result,
  result_hash: hash,
  error_type: error,
  outcome,
}: {
  readonly result?: string | undefined
  readonly result_hash?: string | undefined
  readonly error_type?: string | undefined
  readonly outcome: string
}): number | null {
  if (outcome !== 'success' && outcome !== 'error') return null
  const text = hash ?? result ?? (outcome === 'error' ? `error ${error ?? ''}` : undefined)
  return text === undefined ? null : markOf(text)
}

/**
 * What a model was asked last, and what it said. A request of one turn may have its matter in its instructions, which are
 * no turn; so its size is a part of what was asked.
 */
function asked(event: Extract<Event, { readonly type: 'llm.completed' }>, name: string) {
  const thread = event.data?.thread
  if (thread === undefined) {
    const call = event.args_hash === undefined ? null : markOf(event.args_hash, markOf(name))
    return { call, whole: call, result: resultOf(event) }
  }
  const size = thread.length <= 1 ? String(event.input_tokens ?? '') : ''
  return {
    call: markOf(thread.last, markOf(name + size)),
    whole: markOf(thread.chain, markOf(name)),
    result: thread.answer === null || event.outcome !== 'success' ? null : markOf(thread.answer),
  }
}
