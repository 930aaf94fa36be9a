import type { Command } from './command.ts'
import { misused } from './command.ts'
import { commands } from './commands.ts'

/** `sluice help`, `sluice help keys` */
export const command: Command = async ([name], shell) => {
  if (name === undefined) {
    const shown = commands.flatMap(({ name, says }) => (says === undefined ? [] : [`  ${name.padEnd(9)} ${says}`]))
    shell.out(`sluice <command>\n\n${shown.join('\n')}\n\nsluice help <command> shows how one is called.\n`)
    return 0
  }
  const entry = commands.find(entry => entry.name === name)
  if (entry === undefined) throw misused(`There is no command ${name}; sluice help lists them.`)
  shell.out(`sluice ${entry.usage}\n${entry.says === undefined ? '' : `${entry.says}\n`}`)
  return 0
}
