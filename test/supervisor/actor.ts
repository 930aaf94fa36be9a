import fs from 'node:fs'
import { setTimeout as after } from 'node:timers/promises'
import { Fault } from '../../services/io/fault.ts'
import { openLogger } from '../../services/io/logger.ts'
import { live } from '../../services/supervisor/process.ts'

/** A role for tests: plays the part it is given and writes what happens to it into a journal. */
const [name = '', part = '', journal = ''] = process.argv.slice(2)
const note = (what: string) => fs.appendFileSync(journal, `${name} ${what} ${process.pid}\n`)
const { logger, flush } = openLogger({ name, level: 'silent' })

await live({
  title: `sluice:${name}`,
  logger,
  flush,
  start: async () => {
    if (part === 'dies') process.exit(3)
    if (part === 'hopeless') throw new Fault('port_taken', 'Port 1 is taken by another program.')
    note('up')
    setInterval(() => {}, 1000)
    return {
      facts: { [name]: 'here' },
      async close() {
        note('closing')
        if (part === 'hangs') await new Promise(() => {})
        if (part === 'slow') await after(100)
        note('closed')
      },
    }
  },
})
