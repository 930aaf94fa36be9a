import { type ChildProcess, execFile, spawn } from 'node:child_process'

export type Answer = { readonly ok: boolean; readonly out: string }

/** Runs a command to its end, at most `ms`; what it printed, both streams. A command that is not there is not ok. */
export function run(command: string, args: readonly string[], ms: number, cwd?: string): Promise<Answer> {
  return new Promise(resolve => {
    // 8 MB of talk is more than any of these has; beyond it the command is stopped.
    const options = { timeout: ms, maxBuffer: 8 << 20, ...(cwd === undefined ? {} : { cwd }) }
    execFile(command, [...args], options, (error, stdout, stderr) => {
      const missing = error && 'code' in error && error.code === 'ENOENT' ? `${command} was not found` : ''
      resolve({ ok: error === null, out: `${stdout}\n${stderr}\n${missing}`.trim() })
    })
  })
}

/**
 * Runs the command when this process is gone, even by kill -9: a small shell waits for the end of a pipe that we hold
 * open. Answers how to call it off.
 */
export function killWithUs(command: string, args: readonly string[]): () => void {
  const shell: ChildProcess = spawn('sh', ['-c', 'cat >/dev/null; exec "$0" "$@" >/dev/null 2>&1', command, ...args], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true, // a Ctrl-C in the terminal is not for it
  })
  shell.on('error', () => {}) // no shell, no guard
  shell.unref()
  return () => {
    shell.kill('SIGKILL') // first, so that the end of the pipe only ends its `cat`
    shell.stdin?.destroy()
  }
}
