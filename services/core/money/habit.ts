/**
 * What calls of one kind have used of late, as far as it tells what the next one will hardly exceed. Nothing is proved by
 * it: a call may use all that it is allowed to. Changed in place.
 */
export type Habit = {
  /** Of each call: output tokens for each choice, and input tokens for each byte of its body. */
  readonly outputs: number[]
  readonly inputs: number[]
  /** Which of them the next call takes the place of. */
  next: number
}

/** What a call came to, by its provider's count. */
export type Use = { readonly bytes: number; readonly choices: number } & Tokens

/** What the next one can use at most. */
export type Most = Use

export type Tokens = { readonly inputTokens: number; readonly outputTokens: number }

const limits = {
  /** Calls that are looked back on. After so many an agent that has changed its ways is known by the new ones alone. */
  window: 100,
  /** Of fewer nobody can say what is usual. */
  least: 20,
  /** So much of them may have used more than what is held for the next. */
  beyond: 0.02,
  /** And a quarter on top, for calls grow with their conversation. */
  margin: 1.25,
}

export const openHabit = (): Habit => ({ outputs: [], inputs: [], next: 0 })

export function learn(habit: Habit, { bytes, choices, inputTokens, outputTokens }: Use): void {
  habit.outputs[habit.next] = outputTokens / choices
  habit.inputs[habit.next] = inputTokens / bytes
  habit.next = (habit.next + 1) % limits.window
}

/** What to hold for the next call: never more than it can use, and all of that until enough is known. */
export function expected({ outputs, inputs }: Habit, most: Most): Tokens {
  if (outputs.length < limits.least) return most
  const inputTokens = Math.ceil(usual(inputs) * most.bytes)
  const outputTokens = Math.ceil(usual(outputs) * most.choices)
  return {
    inputTokens: Math.min(most.inputTokens, inputTokens),
    outputTokens: Math.min(most.outputTokens, outputTokens),
  }
}

function usual(figures: readonly number[]): number {
  const falling = figures.toSorted((a, b) => b - a)
  return (falling[Math.floor(falling.length * limits.beyond)] ?? 0) * limits.margin
}
