import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Shell } from '../../services/cli/command.ts'
import { commands } from '../../services/cli/commands.ts'
import { Fault } from '../../services/io/fault.ts'
import { hashOfKey } from '../../services/io/keys/keys.ts'
import { mintAgentKey } from '../../services/io/keys/mint.ts'
import { at, send } from '../support/gateway.ts'
import { bareEnv, cli, main, type Stack, startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

const key = mintAgentKey()
const config = `agents:
  reader: { keys: ["sha256:${hashOfKey(key)}"], budgets: [{ limitUsd: 1, window: 1d, alertAt: [0.00001] }] }
runs: { defaults: { budgets: [{ limitUsd: 0.5, alertAt: [0.9] }] } }
`

describe('runs and caps from a terminal', () => {
  let stack: Stack
  before(async () => {
    stack = await startStack({ roles: ['gateway', 'enforcer'], config })
  })
  after(() => stack.close())

  let said = 0
  const call = async (run: string) => {
    const { status, text } = await send(`${stack.told('Gateway')}/v1/chat/completions`, {
      headers: { authorization: `Bearer ${key}`, 'x-sluice-run-id': run },
      body: JSON.stringify({
        model: 'simulator',
        max_tokens: 20,
        messages: [{ role: 'user', content: `Tell me number ${++said} of all the colours that you know` }],
      }),
    })
    return { status, code: at(JSON.parse(text), 'error', 'code'), text }
  }
  /** The command as the CLI runs it, but for the process around it. */
  const sluice = async (...[name, ...args]: readonly string[]) => {
    const out: string[] = []
    const err: string[] = []
    const shell: Shell = {
      entry: main,
      out: text => void out.push(text),
      err: text => void err.push(text),
      env: stack.env,
    }
    const found = await commands.find(command => command.name === name)?.load()
    assert.ok(found !== undefined)
    try {
      return { code: await found.command(args, shell), out: out.join(''), err: err.join('') }
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      return { code: error.code, out: out.join(''), err: error.message }
    }
  }
  const ok = async (...args: readonly string[]) => {
    const { code, out, err } = await sluice(...args)
    assert.equal(code, 0, `${args.join(' ')}: ${err}`)
    return out
  }

  test('a run that is paused refuses calls until it is resumed, and a resume may raise its cap', async () => {
    assert.equal((await call('r1')).status, 200)
    assert.equal(await ok('run', 'pause', 'r1', '--reason', 'looking into it'), 'Run r1 is paused.\n')
    assert.deepEqual([(await call('r1')).code, (await call('r2')).status], ['run_paused', 200])
    assert.equal(await ok('run', 'resume', 'r1', '--limit-usd', '2.5'), 'Run r1 is running.\n')
    assert.equal((await call('r1')).status, 200)
    const [cap] = JSON.parse(await ok('budgets', '--scope', 'run:r1', '--json'))
    assert.equal(cap.limit_nano_usd, 2_500_000_000)
    const view = JSON.parse(await ok('run', 'resume', 'r1', '--json'))
    assert.deepEqual([view.state, view.budgets], ['running', [{ limitUsd: 2.5, alertAt: [0.9] }]])
  })

  test('a run that is killed stays dead, and one that is finished ends', async () => {
    assert.equal((await call('r3')).status, 200)
    assert.equal(await ok('run', 'kill', 'r3'), 'Run r3 is killed.\n')
    assert.equal((await call('r3')).code, 'run_killed')
    const paused = await sluice('run', 'pause', 'r3')
    assert.deepEqual([paused.code, paused.out], ['refused', ''])
    assert.match(paused.err, /^This run was ended by admin\.$/)
    assert.equal(await ok('run', 'finish', 'r2'), 'Run r2 is finished.\n')
  })

  test('budgets are told by a stack that runs, with what is spent of each', async () => {
    const rows = async () => JSON.parse(await ok('budgets', '--runs', '--json'))
    const all = await until('what was spent', async () => {
      const found = await rows()
      return found[0]?.spent_nano_usd > 0 ? found : null
    })
    assert.deepEqual(
      all.map(({ scope }: { scope: string }) => scope),
      ['agent:reader', 'run:r1', 'run:r2', 'run:r3'],
    )
    const [agent, ...runs] = all
    const spentByRuns = runs.reduce((sum: number, run: { spent_nano_usd: number }) => sum + run.spent_nano_usd, 0)
    assert.equal(agent.spent_nano_usd, spentByRuns)
    const table = await until('nothing held any more', async () => {
      const told = await ok('budgets')
      return told.includes('▒') ? '' : told
    })
    assert.match(table, /^SCOPE +WINDOW +USED +SPENT .*\nagent:reader +1d +█░{19} +< 0\.1 % +\$0\.\d+ .* h .*min\n/)
    assert.match(table, /Caps of runs that are not here: 3; sluice budgets --runs shows them\.\n$/)
  })

  test('alerts can be read as they stand on their topic', async () => {
    const lines = await until('both alerts', async () => {
      const told = await ok('tail', '--topic', 'sluice.alerts', '--from', 'earliest', '--no-follow')
      return told.includes('run.killed') && told.includes('budget.threshold') && told
    })
    assert.ok(lines !== false)
    assert.match(lines, /run\.killed +reader +r3 .*by admin\n/)
    assert.match(lines, /budget\.threshold +reader +agent:reader +budget +at 0 % +\$0\.\d+ of \$1\.00\n/)
  })

  test('what cannot be done is told in a sentence', async () => {
    const unknown = await stack.cli('run', 'kill', 'nobody')
    assert.deepEqual([unknown.code, unknown.stdout, unknown.stderr.split('\n').length], [1, '', 2])
    assert.match(unknown.stderr, /nobody/)
    const strange = await sluice('run', 'stop', 'r1')
    assert.deepEqual(strange, {
      code: 'usage',
      out: '',
      err: 'There is no sluice run stop; there is show, pause, resume, kill, finish.',
    })
    assert.match((await sluice('run', 'kill', 'r1', '--limit-usd', '1')).err, /^--limit-usd is for resume/)
    assert.match((await sluice('run', 'resume', 'r1', '--limit-usd', 'much')).err, /^--limit-usd wants dollars/)
  })

  test('where no stack runs, caps are read from its directory, and there is nobody to stop a run', async () => {
    const before = JSON.parse(await ok('budgets', '--runs', '--json'))
    await stack.stop()
    const after = JSON.parse(await ok('budgets', '--runs', '--json'))
    const spent = (rows: readonly Record<string, unknown>[]) => rows.map(row => [row['scope'], row['spent_nano_usd']])
    assert.deepEqual(spent(after), spent(before))
    const { code, err } = await sluice('run', 'kill', 'r1')
    assert.equal(code, 'not_running')
    assert.match(err, /^No stack runs on .*; start one with sluice start, or name it with SLUICE_URL\.$/)
    const { stdout, stderr } = await cli({ ...bareEnv, SLUICE_DATA_DIR: `${stack.dataDir}/none` }, ['budgets'])
    assert.deepEqual([stdout, stderr], ['No budgets: sluice.yaml gives them to org, teams, agents and runs.\n', ''])
  })
})
