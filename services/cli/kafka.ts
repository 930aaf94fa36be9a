import path from 'node:path'
import { parseArgs } from 'node:util'
import { readSettings } from '../io/config/settings.ts'
import { openLogger } from '../io/logger.ts'
import type { Command } from './command.ts'
import { misused } from './command.ts'

/** `sluice kafka`: a real Apache Kafka for development, until Ctrl-C. */
export const command: Command = async (args, shell) => {
  const { values } = parseArgs({ args: [...args], options: { dir: { type: 'string' }, port: { type: 'string' } } })
  const port = values.port === undefined ? undefined : Number(values.port)
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536))
    throw misused(`--port wants a port from 1 to 65535, got ${values.port}.`)
  const { logLevel } = readSettings(shell.env)
  const { logger, flush } = openLogger({ name: 'kafka', level: logLevel === 'info' ? 'warn' : logLevel })
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort())
  const { kafkaCommand } = await import('../broker/command.ts')
  const already = shell.env['KAFKA_BROKERS']
  try {
    return await kafkaCommand({
      dir: path.resolve(values.dir ?? '.kafka'),
      ...(port === undefined ? {} : { port }),
      ...(already === undefined ? {} : { already }),
      log: logger,
      print: line => shell.out(`${line}\n`),
      signal: stop.signal,
    })
  } finally {
    flush()
  }
}
