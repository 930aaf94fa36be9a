import { after } from 'node:test'

/**
 * Loaded before each test file by `npm test`. A test that was given up leaves its sockets open, and its file would wait for
 * them for ever; Node's own `--test-force-exit` leaves while reports are still on their way, and tests are then missing
 * from the count without a word.
 */
const graceMs = 5_000

after(() => {
  const leave = () => {
    console.error(`left behind by this file: ${[...new Set(process.getActiveResourcesInfo())].join(', ')}`)
    process.exit()
  }
  setTimeout(leave, graceMs).unref()
})
