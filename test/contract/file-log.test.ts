import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type FileLogOptions, openFileLog } from '../../services/io/log/file/file.ts'
import { eventLogContract } from './event-log.ts'

const contract = (name: string, options: Omit<FileLogOptions, 'dir'>) =>
  eventLogContract(name, async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-log-'))
    const open = () =>
      openFileLog({
        dir,
        onFault: fault => {
          throw fault
        },
        ...options,
      })
    const logs = [open()]
    return {
      log: logs[0]!,
      reopen: async () => {
        const log = open()
        logs.push(log)
        return log
      },
      cleanup: async () => {
        await Promise.all(logs.map(log => log.close()))
        fs.rmSync(dir, { recursive: true })
      },
    }
  })

contract('file', {})
contract('file, waiting for the disk', { durability: 'fsync' })
contract('file, in small segments', { segmentBytes: 4_096 })
contract('file, where no watch works', { watch: false, pollMs: 5 })
