import fs from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import type { Command } from './command.ts'

/** `sluice version` */
export const command: Command = async (args, shell) => {
  const { values } = parseArgs({ args: [...args], options: { json: { type: 'boolean' } } })
  const told = { version: version(), node: process.versions.node }
  shell.out(values.json === true ? `${JSON.stringify(told)}\n` : `sluice ${told.version} (Node ${told.node})\n`)
  return 0
}

/** From the nearest package.json above: this file stands elsewhere once it is built. */
export function version(): string {
  for (let dir = import.meta.dirname; dir !== path.dirname(dir); dir = path.dirname(dir)) {
    const file = path.join(dir, 'package.json')
    if (fs.existsSync(file)) return (JSON.parse(fs.readFileSync(file, 'utf8')) as { version: string }).version // our own file
  }
  return 'unknown'
}
