import { canonical } from '../support/replay.ts'
import type { Exchange } from './recorded.ts'

/**
 * What the recordings' own bytes say of conversations, read without the gateway's readers: which requests belong together
 * for certain, and which runs nobody could tell apart.
 */

/** The turns of the conversation that a request shows, each in one spelling; the provider may keep earlier ones. */
export function turnsOf({ request_body: body }: Exchange): readonly string[] {
  const shown = member(body, 'messages') ?? member(body, 'contents') ?? member(body, 'input')
  const turns = typeof shown === 'string' ? [{ role: 'user', content: shown }] : shown
  return Array.isArray(turns) ? turns.map(canonical) : []
}

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined

const previousOf = (exchange: Exchange): unknown => member(exchange.request_body, 'previous_response_id')

const beginsWith = (turns: readonly string[], beginning: readonly string[]): boolean =>
  beginning.length > 0 && beginning.length < turns.length && beginning.every((turn, i) => turn === turns[i])

const names = (later: Exchange, earlier: Exchange): boolean =>
  previousOf(later) !== undefined && previousOf(later) === earlier.truth.response_id

/** The earlier request of the same run which this one goes on from; the longest, then the latest. */
export function goesOnFrom(later: Exchange, earlier: readonly Exchange[]): Exchange | null {
  const named = earlier.find(one => names(later, one))
  if (named !== undefined) return named
  const turns = turnsOf(later)
  return earlier
    .filter(one => beginsWith(turns, turnsOf(one)))
    .reduce<Exchange | null>((a, b) => (a === null || turnsOf(b).length >= turnsOf(a).length ? b : a), null)
}

/** The exchanges of a run in groups that go on from each other. A recorded test may hold several conversations. */
export function conversations(steps: readonly Exchange[]): readonly (readonly Exchange[])[] {
  const groups: Exchange[][] = []
  for (const step of steps) {
    const from = goesOnFrom(step, groups.flat())
    const group = groups.find(group => from !== null && group.includes(from))
    if (group === undefined) groups.push([step])
    else group.push(step)
  }
  return groups
}

/** Texts in the turns from `at` on that an answer has, too: what shows that the answer was heard. */
function heard(later: Exchange, at: number, answer: Exchange): ReadonlySet<string> {
  const texts = turnsOf(later)
    .slice(at)
    .flatMap(turn => [...turn.matchAll(/"((?:[^"\\]|\\.){4,})"(?!:)/g)].map(match => match[1] ?? ''))
  return new Set(texts.filter(text => answer.response_body.includes(text)))
}

/**
 * Whether a request of the run could just as well go on from the other run: it begins with the other's turns as far as
 * with its own, and has heard nothing from its own that the other did not say as well.
 */
function couldGoOn(run: readonly Exchange[], other: readonly Exchange[]): boolean {
  return run.some((later, i) => {
    const turns = turnsOf(later)
    const own = goesOnFrom(later, run.slice(0, i))
    return other.some(stranger => {
      if (names(later, stranger)) return true
      const beginning = turnsOf(stranger)
      // What was not answered may be tried again by anybody.
      if (stranger.status >= 400 && beginning.length > 0 && beginning.join() === turns.join()) return true
      if (!beginsWith(turns, beginning)) return false
      if (own === null) return true
      const [at, ownAt] = [beginning.length, turnsOf(own).length]
      if (at !== ownAt) return at > ownAt
      const fromStranger = heard(later, at, stranger)
      return [...heard(later, at, own)].every(text => fromStranger.has(text))
    })
  })
}

/** Long ids that both runs were answered with: the same recording under two names. */
const idsOf = (run: readonly Exchange[]): readonly string[] =>
  run.flatMap(({ response_body }) =>
    [...response_body.matchAll(/"(?:id|call_id|toolUseId)": ?"([^"]{8,})"/g)].map(match => match[1] ?? ''),
  )

export type RecordedRun = { readonly id: string; readonly steps: readonly Exchange[] }

/**
 * Deals runs out to as few keys as it takes that no two under one key can be mistaken for each other. "Never across keys"
 * is what the gateway promises for those.
 */
export function dealt(runs: readonly RecordedRun[]): readonly (readonly RecordedRun[])[] {
  const hands: RecordedRun[][] = []
  const ids = new Map(runs.map(run => [run, new Set(idsOf(run.steps))]))
  const mistakable = (a: RecordedRun, b: RecordedRun): boolean =>
    !(ids.get(a)?.isDisjointFrom(ids.get(b) ?? new Set()) ?? true) ||
    couldGoOn(a.steps, b.steps) ||
    couldGoOn(b.steps, a.steps)
  for (const run of runs) {
    const hand = hands.find(hand => !hand.some(other => mistakable(run, other)))
    if (hand === undefined) hands.push([run])
    else hand.push(run)
  }
  return hands
}

/** How many tool results a request brings that were not in the one it goes on from, by id where there is one. */
export function broughtBack(step: Exchange, earlier: readonly Exchange[]): readonly Result[] {
  const from = goesOnFrom(step, earlier)
  const known = from === null || names(step, from) ? 0 : turnsOf(from).length
  return turnsOf(step)
    .slice(known)
    .flatMap(turn => resultsIn(JSON.parse(turn)))
}

export type Result = { readonly id: string | null; readonly name: string | null }

function resultsIn(value: unknown): readonly Result[] {
  if (Array.isArray(value)) return value.flatMap(resultsIn)
  if (typeof value !== 'object' || value === null) return []
  const [type, role] = [String(member(value, 'type')), member(value, 'role')]
  const told = (id: unknown, name?: unknown): readonly Result[] => [
    { id: typeof id === 'string' ? id : null, name: typeof name === 'string' ? name : null },
  ]
  if (role === 'tool' && member(value, 'tool_call_id') !== undefined) return told(member(value, 'tool_call_id'))
  if (/^(function_call|custom_tool_call)_output$/.test(type)) return told(member(value, 'call_id'))
  if (type === 'tool_result') return told(member(value, 'tool_use_id'))
  const answered = member(value, 'functionResponse') ?? member(value, 'function_response')
  if (answered !== undefined) return told(member(answered, 'id'), member(answered, 'name'))
  const result = member(value, 'toolResult')
  if (result !== undefined) return told(member(result, 'toolUseId'))
  return Object.values(value).flatMap(resultsIn)
}
