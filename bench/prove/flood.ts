import type { Chance } from '../../test/support/chance.ts'
import { type Agent, insist, type Try, type Wish } from './agents.ts'
import { costOf, type Entry, type Provider } from './provider.ts'

/** Many calls at once by an agent with a small cap, while others without one go about their work. */
export type Flood = {
  /** By call; a client that is told to come again does. */
  readonly mine: readonly (readonly Try[])[]
  readonly others: readonly (readonly Try[])[]
}

export async function flood(options: {
  readonly url: string
  readonly capped: Agent
  readonly others: readonly Agent[]
  readonly calls: number
  readonly chance: Chance
  readonly forMs?: number
}): Promise<Flood> {
  const { url, capped, chance } = options
  const until = performance.now() + (options.forMs ?? 30_000)
  const [mine, others] = await Promise.all([
    Promise.all(Array.from({ length: options.calls }, () => insist(url, capped, usual(chance), until))),
    Promise.all(
      options.others.flatMap(other => Array.from({ length: 10 }, () => insist(url, other, usual(chance), until))),
    ),
  ])
  return { mine, others }
}

/** A fifth to all of `max_tokens`, quick or slow, streamed or not: about 0.03 of a cent. */
export const usual = (chance: Chance): Wish => ({
  say: chance.between(20, 101),
  waitMs: chance.between(20, 200),
  everyMs: chance.between(0, 6),
  stream: chance.random() < 0.5,
})

export type Verdict = {
  readonly answered: number
  readonly refused: number
  readonly contended: number
  /** By the provider's books, in nano-dollars. */
  readonly billed: number
  /** Final refusals of calls that would have fitted into what was spent when they were told. */
  readonly phantoms: readonly string[]
  /** What is wrong with the refusals themselves. */
  readonly wrong: readonly string[]
  /** Calls that came neither to an answer nor to a final refusal. */
  readonly unended: readonly string[]
  /** Of those without a cap. */
  readonly strangersRefused: number
}

/** Holds what clients were told against the provider's books. */
export function judge(provider: Provider, { mine, others }: Flood, capNanoUsd: number): Verdict {
  const tries = mine.flat()
  const ours = entriesOf(provider, tries)
  const refused = tries.filter(one => one.status === 402)
  const lasts = mine.flatMap(of => of.at(-1) ?? [])
  return {
    answered: tries.filter(one => one.status === 200 && one.how === 'whole').length,
    refused: refused.length,
    contended: tries.filter(one => one.status === 429).length,
    billed: ours.reduce((sum, entry) => sum + costOf(entry), 0),
    phantoms: refused.filter(one => isPhantom(one, ours, capNanoUsd)).map(told),
    wrong: [...new Set(tries.flatMap(one => wrongIn(one, capNanoUsd)))],
    unended: lasts.filter(one => one.how !== 'whole' || ![200, 402].includes(one.status)).map(told),
    strangersRefused: others.flatMap(of => of.at(-1) ?? []).filter(one => one.status !== 200 || one.how !== 'whole')
      .length,
  }
}

export function entriesOf(provider: Provider, tries: readonly Try[]): readonly Entry[] {
  const calls = new Set(tries.map(one => one.call))
  return provider.books.filter(entry => calls.has(entry.call))
}

/** What was spent only grows: what did not fit when it was refused must not fit into all that had ended by then. */
export function isPhantom({ error, endedAt }: Try, entries: readonly Entry[], capNanoUsd: number): boolean {
  const ended = entries.filter(entry => entry.endedAt !== null && entry.endedAt <= endedAt)
  const spent = ended.reduce((sum, entry) => sum + costOf(entry), 0)
  return spent + Number(error['asked_nano_usd'] ?? 0) <= capNanoUsd
}

/** A refusal for money is of this form, or a client cannot act on it. */
function wrongIn(one: Try, capNanoUsd: number): readonly string[] {
  const { status, code, headers, error } = one
  const wrong: string[] = []
  if (status === 200) return one.how === 'whole' && code === '' ? [] : [`an answer that ended ${told(one)}`]
  if (status === 402) {
    const [limit, spent, asked] = ['limit_nano_usd', 'spent_nano_usd', 'asked_nano_usd'].map(name =>
      Number(error[name]),
    )
    if (code !== 'budget_exceeded') wrong.push(`402 with the code ${code}`)
    if (headers['x-should-retry'] !== 'false') wrong.push('402 without x-should-retry: false')
    if (limit !== capNanoUsd) wrong.push(`402 that tells the limit ${limit}`)
    if (!((spent ?? 0) + (asked ?? 0) > capNanoUsd)) wrong.push(`402 with ${spent} spent and ${asked} asked`)
  } else if (status === 429) {
    if (code !== 'budget_contended') wrong.push(`429 with the code ${code}`)
    if (!(Number(headers['retry-after']) > 0)) wrong.push('429 without retry-after')
  } else wrong.push(told(one))
  return wrong
}

const told = ({ call, status, code, how }: Try): string => `${call}: ${status} ${code} ${how}`
