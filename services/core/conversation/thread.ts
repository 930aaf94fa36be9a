import { chained, type Digest, type History, type Turn } from './turn.ts'
import { isUnlikely } from './unlikely.ts'

/**
 * Which conversation a request continues, read from the conversation itself.
 *
 * Every answered request leaves a knot: how many turns it had, a chained hash of them, and what was answered. A later
 * request is tied to a knot by, strongest first, an id that the provider made (a tool call's, an item's, a signature); by
 * the words of the answer at the same place behind the same turns; by beginning with the same turns. Looked at from its
 * end, so that the work grows with what is new and not with the history.
 *
 * Nothing ties a request that only begins like another one did: two runs that start with the same words stay two.
 */
export type Knot = Mark & {
  readonly runId: string
  /** The number of knots that continue this one. */
  continued: number
  /** Rises with every knot. */
  readonly order: number
}

/** What of a knot is worth keeping: it goes to the log with the answer, so that a restart forgets no conversation. */
export type Mark = {
  /** How many turns the request had; the answer stands at this place when it is sent back. */
  readonly length: number
  /** What the first turn looks like: the same run's next request need not hash it again. Absent in old ones. */
  readonly glance?: number | undefined
  /** Hashes of the first and the last turn, and of all of them, chained. */
  readonly first: string
  readonly last: string
  readonly chain: string
  /** Hash of the answer's words and calls, without ids; null where there was no answer. */
  readonly answer: string | null
  /** The ids that the answer brought; of long ones hashes. */
  readonly ids: readonly string[]
}

/** Finds knots by key; whoever keeps it bounds it. */
export type Knots = {
  readonly get: (key: string) => readonly Knot[]
  readonly add: (key: string, knot: Knot) => void
}

/** How a request was tied, and to what. `length` of the knot is where the new turns begin, its answer among them. */
export type Tie = {
  readonly knot: Knot
  readonly by: 'id' | 'answer' | 'prefix'
  /** The turn by which it was found. */
  readonly at: number
}

/** Turns looked at for ids from the end backwards; one step rarely adds more than a handful. */
const lookBack = 64

/** `scope`: whose conversations may be tied at all; never across agents. */
export function findTie(knots: Knots, scope: string, history: History, digest: Digest): Tie | null {
  return (
    byId(knots, scope, history, digest) ??
    byAnswer(knots, scope, history, digest) ??
    byPrefix(knots, scope, history, digest)
  )
}

/**
 * What a request that has been answered (or has failed: then with no answer) leaves behind.
 *
 * @param parent what it was tied to: its chain is continued, so only new turns are hashed
 */
export function markOf(history: History, answer: readonly Turn[], parent: Mark | null, digest: Digest): Mark {
  const words = saying(answer)
  const glance = history.length === 0 ? 0 : history.glance(0)
  // A summary in place of old turns makes another first turn.
  const sameFirst = parent !== null && parent.length > 0 && parent.glance === glance
  return {
    length: history.length,
    glance,
    first: sameFirst ? parent.first : firstOf(history, digest),
    last: history.length === 0 ? '' : history.hashAt(history.length - 1, digest),
    chain:
      parent === null || parent.length > history.length ? history.chain(history.length, digest) : chainBehind(parent),
    answer: words === '' ? null : digest(words),
    ids: answer.flatMap(turn => turn.ids).map(id => nameOf(id, digest)),
  }

  function chainBehind({ length, chain }: Mark): string {
    let behind = chain
    for (let at = length; at < history.length; at++) behind = chained(behind, history.hashAt(at, digest), digest)
    return behind
  }
}

/** Ties a knot, so that later requests find it. */
export function tieKnot(
  knots: Knots,
  scope: string,
  { length, glance, first, last, chain, answer, ids }: Mark,
  { runId, order }: { readonly runId: string; readonly order: number },
): Knot {
  const knot: Knot = { length, glance, first, last, chain, answer, ids, runId, order, continued: 0 }
  if (length > 0) knots.add(prefixKey(scope, chain), knot)
  if (answer !== null) knots.add(answerKey(scope, answer), knot)
  for (const id of ids) knots.add(idKey(scope, id), knot)
  return knot
}

/**
 * How an id is remembered: one that others may have made as well is marked as such. Most are short enough to stand for
 * themselves, but for a space: a key must not be read as one of another scope.
 */
function nameOf(id: string, digest: Digest): string {
  const name = id.length <= 48 && !id.includes(' ') ? id : digest(id)
  return isUnlikely(id) ? name : weak + name
}
const weak = '~'

/** Under which the knots stand whose answer brought this id. */
export const keyOfId = (scope: string, id: string, digest: Digest): string => idKey(scope, nameOf(id, digest))

const idKey = (scope: string, id: string) => `${scope} i ${id}`
const answerKey = (scope: string, answer: string) => `${scope} a ${answer}`
const prefixKey = (scope: string, chain: string) => `${scope} p ${chain}`

function byId(knots: Knots, scope: string, history: History, digest: Digest): Tie | null {
  for (let at = history.length - 1; at >= Math.max(0, history.length - lookBack); at--)
    for (const id of history.idsAt(at)) {
      const name = nameOf(id, digest)
      const all = knots.get(idKey(scope, name))
      const found = name.startsWith(weak) ? all.filter(knot => knot.first === firstOf(history, digest)) : all
      if (found.length > 0) return { knot: best(found, history, digest), by: 'id', at }
    }
  return null
}

function byAnswer(knots: Knots, scope: string, history: History, digest: Digest): Tie | null {
  const group = lastSaid(history)
  if (group === null) return null
  const { from, to } = group
  const turns = Array.from({ length: to - from }, (_, i) => history.turn(from + i))
  // A client may put turns of its own behind the model's: then the first alone is the answer.
  for (const said of turns.length > 1 ? [turns, turns.slice(0, 1)] : [turns]) {
    const words = saying(said)
    if (words === '') continue
    const found = knots
      .get(answerKey(scope, digest(words)))
      .filter(
        knot =>
          knot.length === from &&
          knot.first === firstOf(history, digest) &&
          !namesOthers(knot, said, digest) &&
          (from === 0 || knot.last === history.hashAt(from - 1, digest)),
      )
    if (found.length === 0) continue
    const runs = new Set(found.map(knot => knot.runId))
    // Alike at both ends is not alike in between: where there is a choice, all of it is compared.
    const same = runs.size === 1 ? found : found.filter(knot => knot.chain === history.chain(from, digest))
    if (same.length > 0) return { knot: best(same, history, digest), by: 'answer', at: from }
  }
  return null
}

function byPrefix(knots: Knots, scope: string, history: History, digest: Digest): Tie | null {
  const repeatable = lastSaid(history) !== null
  for (let length = history.length; length > 0; length--) {
    // The whole request sent again is another run that starts alike; unless the model had said something in it already,
    // or has not answered it: then somebody tries again.
    const again = length < history.length || repeatable
    const found = knots
      .get(prefixKey(scope, history.chain(length, digest)))
      .filter(knot => knot.length === length && (again || knot.answer === null) && !contradicts(knot, history, digest))
    if (found.length > 0) return { knot: best(found, history, digest), by: 'prefix', at: length }
  }
  return null
}

/** Something else follows than was answered there: the same words were said to somebody else, who answered otherwise. */
function contradicts(knot: Knot, history: History, digest: Digest): boolean {
  if (knot.length >= history.length || !history.turn(knot.length).said) return false
  let to = knot.length
  while (to < history.length && history.turn(to).said) to++
  const said = Array.from({ length: to - knot.length }, (_, i) => history.turn(knot.length + i))
  if (namesOthers(knot, said, digest)) return true
  return knot.answer !== null && [said, said.slice(0, 1)].every(turns => digest(saying(turns)) !== knot.answer)
}

/**
 * Both have ids, and not one in common. Weak ids are compared with weak ones alone: a client that cannot keep a
 * provider's ids counts for itself.
 */
function namesOthers(knot: Knot, said: readonly Turn[], digest: Digest): boolean {
  const ids = said.flatMap(turn => turn.ids).map(id => nameOf(id, digest))
  if (ids.some(id => knot.ids.includes(id))) return false
  const isWeak = (id: string) => id.startsWith(weak)
  return (
    (ids.some(isWeak) && knot.ids.some(isWeak)) || (ids.some(id => !isWeak(id)) && knot.ids.some(id => !isWeak(id)))
  )
}

/**
 * Of knots that fit alike: whose answer follows, then whose turns lie before it, then the one that nobody has continued,
 * then the latest.
 */
function best(found: readonly Knot[], history: History, digest: Digest): Knot {
  const [only] = found
  if (found.length === 1 && only !== undefined) return only
  const score = (knot: Knot): number => {
    const follows = knot.length < history.length ? history.turn(knot.length) : null
    const answered = follows?.said === true && knot.answer === digest(saying([follows])) ? 4 : 0
    const behind =
      knot.length > 0 && knot.length <= history.length && knot.last === history.hashAt(knot.length - 1, digest) ? 2 : 0
    return answered + behind + (knot.continued === 0 ? 1 : 0)
  }
  return found.reduce((a, b) => {
    const [ofA, ofB] = [score(a), score(b)]
    return ofB > ofA || (ofB === ofA && b.order > a.order) ? b : a
  })
}

/** The last turns in a row that the model said: [from, to). */
function lastSaid(history: History): { readonly from: number; readonly to: number } | null {
  let to = history.length
  const floor = Math.max(0, history.length - lookBack)
  while (to > floor && !history.turn(to - 1).said) to--
  if (to === floor) return null
  let from = to
  while (from > floor && history.turn(from - 1).said) from--
  return { from, to }
}

/**
 * Whether something was said in it, last, of which the tie does not know: the answer to a later request than the one it
 * was tied to. The same beginning is no more than a hint.
 */
export function isBehind(history: History, tie: Tie | null): boolean {
  const said = lastSaid(history)
  return said !== null && (tie === null || tie.by === 'prefix' || tie.at < said.from)
}

/**
 * What was said, in one text: words and calls, without ids. Calls that the provider ran itself are left out, for they come
 * back in another spelling.
 */
export const saying = (turns: readonly Turn[]): string => turns.map(sayingOf).join('').trim()

const sayingOf = (turn: Turn): string =>
  turn.words + turn.calls.map(call => (call.by === 'client' ? `\n${call.name}(${call.args})` : '')).join('')

const firstOf = (history: History, digest: Digest): string => (history.length === 0 ? '' : history.hashAt(0, digest))
