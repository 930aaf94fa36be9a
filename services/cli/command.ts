import { Fault } from '../io/fault.ts'

/** A command of the CLI. It answers the exit code, or throws a Fault whose message says what to do. */
export type Command = (args: readonly string[], shell: Shell) => Promise<number>

/** Where a command is run from, and to whom it speaks. */
export type Shell = {
  /** `services/main.ts`, for processes that are started from it. */
  readonly entry: string
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
}

/** The command line was not understood. */
export const misused = (message: string): Fault => new Fault('usage', message)
