import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parseConfig } from '../services/io/config/config.ts'
import { bareEnv } from './support/stack.ts'
import { until } from './support/until.ts'

/** The README is run: what stands there in a block is what a stranger types, but for ports and the directory. */
const root = path.join(import.meta.dirname, '..')
const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8')
const blocks = (language: string): readonly string[] =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(match => match[1] ?? '')
const commands = blocks('sh')
const block = (has: string): string => commands.find(command => command.includes(has)) ?? ''

/** Loading the engine, and a package manager before it, on a machine with other things to do. */
const startMs = 90_000
const commandMs = 60_000
const npm = 'npm run -s sluice -- '

test('the two commands are there, and mean what they always mean', () => {
  assert.deepEqual(
    commands.filter(command => command.startsWith('npm ci')),
    ['npm ci && npm start\n', 'npm ci && npm test\n'],
  )
  const { scripts } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
  for (const [, script = ''] of readme.matchAll(/npm (?:run (?:-s )?)?([a-z]+)/g))
    if (script !== 'ci') assert.ok(script in scripts || script === 'run', `npm run ${script}`)
})

test('what the README links to is there', () => {
  for (const [, target = ''] of readme.matchAll(/\]\((?!http)([^)#]+)\)/g))
    assert.ok(fs.existsSync(path.join(root, target)), target)
})

test('its policy is one', () => {
  const [yaml = ''] = blocks('yaml')
  const { agents, teams, breakers } = parseConfig(yaml, null, {})
  assert.equal(agents.get('researcher')?.budgets[0]?.limitNanoUsd, 5e9)
  assert.equal(teams.get('research')?.budgets[0]?.timezone, 'Europe/Berlin')
  assert.equal(breakers.loop?.repeats, 5)
})

test('its questions are those of docs/sql.md, to the letter', () => {
  const page = fs.readFileSync(path.join(root, 'docs/sql.md'), 'utf8')
  const questions = blocks('sql')
  assert.equal(questions.length, 5)
  for (const question of questions) assert.ok(page.includes(question), question)
})

describe('a stranger follows it', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-readme-'))
  const env: Record<string, string> = {
    ...bareEnv,
    SLUICE_DATA_DIR: dir,
    SLUICE_PORT: '0',
    SLUICE_CONSOLE_PORT: '0',
    SLUICE_WAREHOUSE_PORT: '0',
  }
  let gateway = ''
  let supervisor = 0
  let said = ''
  const ended = Promise.withResolvers<void>()

  /** In a shell, in the repository, as it stands but for where the stack of this test is. */
  const sh = (command: string): Promise<string> =>
    run('bash', ['-euo', 'pipefail', '-c', here(command)], { cwd: root, env })
  const here = (text: string): string =>
    text.replaceAll('http://127.0.0.1:7070', gateway).replaceAll('.sluice/', `${dir}/`)

  before(async () => {
    const command = commands[0]?.replace('npm ci && ', '').trim() ?? ''
    const npm = spawn('bash', ['-c', `exec ${command}`], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [npm.stdout, npm.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
    let gone = false
    npm.on('exit', () => {
      gone = true
      ended.resolve()
    })
    await until('the banner', () => gone || said.includes('Ctrl-C stops it.'), startMs)
    assert.ok(!gone, said)
    gateway = /^ {2}Gateway +(\S+)/m.exec(said)?.[1] ?? ''
    supervisor = JSON.parse(fs.readFileSync(path.join(dir, 'stack.json'), 'utf8')).pid
  })
  after(async () => {
    // What npm started, not npm: it would leave the stack to itself.
    if (supervisor > 0) {
      process.kill(supervisor, 'SIGTERM')
      await ended.promise
    }
    fs.rmSync(dir, { recursive: true, force: true })
  })

  test('the curl is answered and its call is a row', async () => {
    const command = block('curl')
    const [curl = '', sql = ''] = command.split(/^(?=npm)/m)
    assert.equal(JSON.parse(await sh(curl)).object, 'chat.completion')
    await until('the row', async () => /quickstart.*simulator.*success/.test(await sh(sql)), commandMs)
  })

  for (const [name, says] of [
    ['openai', /^The tool get_weather answered: \{"celsius": 4\}\n$/],
    ['@anthropic-ai/sdk', /^Simulated answer/],
    ['@google/genai', /^Simulated answer/],
  ] as const)
    test(`the snippet of ${name} runs`, async () => {
      const snippet = blocks('js').find(js => js.includes(`from '${name}'`)) ?? ''
      const key = JSON.parse(fs.readFileSync(path.join(dir, 'credentials.json'), 'utf8')).agentKey
      const told = await run(process.execPath, ['--input-type=module', '-e', here(snippet)], {
        cwd: root,
        env: { ...env, SLUICE_KEY: key },
      })
      assert.match(told, says)
    })

  test('a key is made and listed', async () => {
    assert.match(await sh(block('keys create')), /^slk_\S+[\s\S]*researcher +active/)
  })

  test('runs, a run and the log look as it is shown', async () => {
    const [runs = '', tail = ''] = block('-- runs').trim().split('\n')
    await until('the run of two steps', async () => /quickstart +running +2 +1 /.test(await sh(runs)), commandMs)
    assert.match(await sh(tail), /llm\.completed +quickstart/)
    const listed: readonly { readonly run_id: string; readonly steps: number }[] = JSON.parse(
      await sh(`${npm}runs --json`),
    )
    const id = listed.find(({ steps }) => steps === 2)?.run_id ?? ''
    // Its numbers, ids and times are of another day.
    const likeShown = (text: string) => text.replaceAll(/run-[\w-]+/g, 'run').replaceAll(/[\d.]+ (ms|s)\b/g, 'time')
    const [shown = ''] = blocks('text')
    assert.equal(likeShown(await sh(`${npm}run show ${id}`)), likeShown(shown))
  })

  test('its caps are told, its alerts can be read, and its books are proved', async () => {
    const [budgets = '', alerts = '', verify = ''] = block('-- budgets').trim().split('\n')
    await sh(budgets)
    await sh(alerts)
    assert.match(await sh(verify), /The books are equal, to the nano-dollar/)
  })

  test('its five questions are answered', async () => {
    for (const question of blocks('sql')) {
      const answer = await run('bash', ['-c', `${npm}sql --json --param agent=quickstart "$QUESTION"`], {
        cwd: root,
        env: { ...env, QUESTION: question },
      })
      const rows: readonly object[] = JSON.parse(answer)
      // Two of them look for trouble, and there is none here.
      if (!/HAVING/.test(question)) assert.ok(rows.length > 0, question)
    }
  })
})

function run(file: string, args: readonly string[], options: { cwd: string; env: Record<string, string> }) {
  return new Promise<string>((resolve, reject) => {
    const child = execFile(file, args, { ...options, timeout: commandMs }, (error, stdout, stderr) =>
      error === null ? resolve(stdout) : reject(new Error(`${args.at(-1)}\n${stderr}`, { cause: error })),
    )
    child.stdin?.end()
  })
}
