import { LRUCache } from 'lru-cache'
import { expected, type Habit, learn, type Most, openHabit, type Tokens } from '../../core/money/habit.ts'
import type { Ask } from '../protocols/protocol.ts'
import type { Settled } from '../settle.ts'

/**
 * What calls have used of late, for `holds: learned`. Calls are alike that have the agent, the model and the limit in
 * common: of one that was cut off at its limit nobody knows what it would have used with another. Each life of a gateway
 * begins with knowing nothing, and then holds what calls can use at most.
 */
export type Habits = {
  /** What to hold for a call that can use `most`. */
  readonly expected: (agent: string, ask: Ask, most: Most) => Tokens
  /** Takes a call that ended; `bytes`: of its body. */
  readonly learn: (agent: string, ask: Ask, bytes: number, settled: Settled) => void
}

/** Some thousand agents with a handful of kinds each, at two kilobytes: 10 MB at most. What is forgotten is learnt again. */
const kindsKnown = 5_000

export function openHabits(): Habits {
  const known = new LRUCache<string, Habit>({ max: kindsKnown })
  return {
    expected(agent, ask, most) {
      const habit = known.get(kindOf(agent, ask))
      return habit === undefined ? most : expected(habit, most)
    },
    learn(agent, ask, bytes, { outcome, usage }) {
      const { input_tokens: inputTokens, output_tokens: outputTokens, usage_source: source } = usage
      // What failed used less than what succeeds, and what was estimated is nobody's word.
      if (outcome !== 'success' || source !== 'provider') return
      if (inputTokens === undefined || outputTokens === undefined || bytes === 0) return
      const kind = kindOf(agent, ask)
      const habit = known.get(kind) ?? openHabit()
      learn(habit, { bytes, choices: choicesOf(ask), inputTokens, outputTokens })
      known.set(kind, habit)
    },
  }
}

export const choicesOf = ({ choices }: Ask): number => Math.max(1, choices)

const kindOf = (agent: string, { model, maxTokens }: Ask): string => `${agent} ${maxTokens} ${model}`
