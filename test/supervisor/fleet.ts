import { openLogger } from '../../services/io/logger.ts'
import { supervise } from '../../services/supervisor/supervisor.ts'

/** A supervisor in a process of its own, for tests that end it: three actors that journal. */
const [journal = ''] = process.argv.slice(2)
const { logger } = openLogger({ name: 'supervisor', level: 'silent' })
const supervisor = supervise(
  ['first', 'second', 'third'].map((name, drainOrder) => ({
    name,
    entry: `${import.meta.dirname}/actor.ts`,
    args: [name, 'slow', journal],
    env: process.env,
    drainOrder,
  })),
  { logger },
)
process.on('SIGTERM', () => supervisor.stop().then(() => process.exit(0)))
await supervisor.ready
process.stdout.write('ready\n')
