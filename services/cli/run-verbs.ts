import { type Command, misused } from './command.ts'
import { acts } from './run-act.ts'

const verbs = ['show', ...acts]

/** `sluice run <verb> <id>`: `show` asks ClickHouse, all others ask the stack that runs. */
export const command: Command = async (args, shell) => {
  const verb = args.find(arg => !arg.startsWith('-'))
  if (verb === undefined) throw misused(`Say what to do with which run: sluice run ${verbs.join('|')} <run id>.`)
  if (!verbs.includes(verb)) throw misused(`There is no sluice run ${verb}; there is ${verbs.join(', ')}.`)
  const { command } = verb === 'show' ? await import('./run-show.ts') : await import('./run-act.ts')
  return command(args, shell)
}
