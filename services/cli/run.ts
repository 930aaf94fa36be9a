import { nearest } from '../io/config/nearest.ts'
import { Fault } from '../io/fault.ts'
import type { Shell } from './command.ts'
import { misused } from './command.ts'
import { commands } from './commands.ts'

/** Runs one command and answers the exit code: 0 only on success, 2 where the command line was not understood. */
export async function run(args: readonly string[], entry: string): Promise<number> {
  // Whoever reads us may have enough: `sluice tail | head`.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  const shell: Shell = {
    entry,
    out: text => void process.stdout.write(text),
    err: text => void process.stderr.write(text),
    env: process.env,
  }
  try {
    const [name = 'help', ...rest] = args.map(alias)
    const found = commands.find(command => command.name === name)
    if (found === undefined) throw unknown(name)
    if (rest.includes('--help') && name !== 'help') return await (await import('./help.ts')).command([name], shell)
    const { command } = await found.load()
    return await command(rest, shell)
  } catch (error) {
    if (error instanceof Fault) {
      shell.err(`${error.message}\n`)
      return error.code === 'usage' ? 2 : 1
    }
    if (isArgumentError(error)) {
      shell.err(
        `${error.message.split('\n')[0]?.replace(/\.? To specify.*$/, '')}; sluice help ${args[0]} shows how it is called.\n`,
      )
      return 2
    }
    throw error
  }
}

function alias(arg: string, i: number): string {
  if (i > 0) return arg
  if (arg === '--help' || arg === '-h') return 'help'
  return arg === '--version' || arg === '-v' ? 'version' : arg
}

function unknown(name: string): Fault {
  const near = nearest(
    name,
    commands.flatMap(({ name, says }) => (says === undefined ? [] : [name])),
  )
  return misused(
    `There is no command ${name}; ${near === null ? 'sluice help lists them' : `did you mean ${near}`}${near === null ? '.' : '?'}`,
  )
}

/** What `parseArgs` throws. */
const isArgumentError = (error: unknown): error is Error =>
  error instanceof Error && String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS')
