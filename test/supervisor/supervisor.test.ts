import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as after } from 'node:timers/promises'
import { openLogger } from '../../services/io/logger.ts'
import { checkDoors } from '../../services/supervisor/ports.ts'
import type { Pace } from '../../services/supervisor/seat.ts'
import { supervise } from '../../services/supervisor/supervisor.ts'

const here = import.meta.dirname

async function until<T>(what: string, look: () => T | null | undefined | false): Promise<T> {
  const deadline = performance.now() + 10_000
  for (;;) {
    const found = look()
    if (found) return found
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`)
    await after(10)
  }
}

type Note = { readonly name: string; readonly what: string; readonly pid: number }

function stage(t: TestContext) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-supervisor-'))
  const journal = path.join(dir, 'journal')
  fs.writeFileSync(journal, '')
  t.after(() => {
    for (const { pid } of notes()) if (alive(pid)) process.kill(pid, 'SIGKILL')
    fs.rmSync(dir, { recursive: true })
  })
  const notes = (): readonly Note[] =>
    fs
      .readFileSync(journal, 'utf8')
      .split('\n')
      .filter(line => line !== '')
      .map(line => line.split(' '))
      .map(([name = '', what = '', pid]) => ({ name, what, pid: Number(pid) }))
  return { journal, notes, said: (what: string) => notes().filter(note => note.what === what) }
}

function fleet(t: TestContext, parts: Readonly<Record<string, string>>, pace: Partial<Pace> = {}, drainMs?: number) {
  const { journal, notes, said } = stage(t)
  const lines: { readonly level: string; readonly msg: string; readonly waitMs?: number }[] = []
  const { logger } = openLogger({ name: 'supervisor', level: 'info', write: line => void lines.push(JSON.parse(line)) })
  const specs = Object.entries(parts).map(([name, part], drainOrder) => ({
    name,
    entry: path.join(here, 'actor.ts'),
    args: [name, part, journal],
    env: process.env,
    drainOrder,
  }))
  const whole = { firstMs: 10, lastMs: 40, stableMs: 60_000, groupMs: 50, ...pace }
  const supervisor = supervise(specs, { logger, pace: whole, ...(drainMs === undefined ? {} : { drainMs }) })
  t.after(() => supervisor.kill())
  return { supervisor, notes, said, lines }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // A process that has ended and waits to be buried is not alive.
    return process.platform !== 'linux' || !/\) Z /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

test('processes start side by side, say what they are, and are named', async t => {
  const { supervisor, said } = fleet(t, { gateway: 'steady', 'enforcer+sink': 'steady' })
  const told = await supervisor.ready
  assert.deepEqual([...told.values()], [{ gateway: 'here' }, { 'enforcer+sink': 'here' }])
  assert.deepEqual(supervisor.waitingFor(), [])
  if (process.platform !== 'linux') return
  for (const { name, pid } of said('up')) {
    const cmdline = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
    assert.equal(cmdline, `sluice:${name}`)
  }
})

test('a process that is killed is started again, and the log says so', async t => {
  const { supervisor, said, lines } = fleet(t, { gateway: 'steady' })
  await supervisor.ready
  process.kill(said('up')[0]!.pid, 'SIGKILL')
  await until('a second life', () => said('up').length === 2)
  assert.ok(lines.some(({ msg }) => msg === 'gateway was ended by SIGKILL; starting it again in 10 ms'))
  await until('the word of it', () => lines.some(({ msg }) => msg === 'gateway is up again'))
})

test('starts that fail are tried again, each after a longer wait up to the longest', async t => {
  const { supervisor, lines } = fleet(t, { gateway: 'dies' })
  const waits = () => lines.flatMap(line => line.waitMs ?? [])
  await until('four tries', () => waits().length >= 4)
  await supervisor.stop()
  assert.deepEqual(waits().slice(0, 4), [10, 20, 40, 40])
})

test('a process that was stable has earned a quick start again', async t => {
  const { supervisor, said, lines } = fleet(t, { gateway: 'steady' }, { stableMs: 0 })
  await supervisor.ready
  for (let life = 1; life <= 3; life++) {
    process.kill((await until('a life', () => said('up')[life - 1])).pid, 'SIGKILL')
    await until('its end', () => lines.filter(line => line.waitMs !== undefined).length === life)
  }
  assert.deepEqual(
    lines.flatMap(line => line.waitMs ?? []),
    [10, 10, 10],
  )
})

test('processes drain in order, each only after the one before it has ended', async t => {
  const { supervisor, notes } = fleet(t, { gateway: 'slow', sink: 'slow', warehouse: 'slow' })
  await supervisor.ready
  await supervisor.stop()
  const drained = notes().flatMap(({ name, what }) => (what === 'up' ? [] : [`${name} ${what}`]))
  assert.deepEqual(drained, [
    'gateway closing',
    'gateway closed',
    'sink closing',
    'sink closed',
    'warehouse closing',
    'warehouse closed',
  ])
  for (const { pid } of notes()) assert.ok(!alive(pid))
})

test('a process that hangs while it drains is killed, and the others still have their turn', async t => {
  const { supervisor, notes, said } = fleet(t, { gateway: 'hangs', sink: 'steady' }, {}, 1_000)
  await supervisor.ready
  const startedAt = performance.now()
  await supervisor.stop()
  assert.ok(performance.now() - startedAt < 5_000)
  assert.ok(said('closed').some(note => note.name === 'sink'))
  for (const { pid } of notes()) assert.ok(!alive(pid))
})

test('a drain that takes too long for somebody can be cut short', async t => {
  const { supervisor, notes, said } = fleet(t, { gateway: 'hangs', sink: 'hangs' }, {}, 60_000)
  await supervisor.ready
  const drained = supervisor.stop()
  await until('the drain', () => said('closing').length === 1)
  await supervisor.kill()
  await drained
  for (const { pid } of notes()) assert.ok(!alive(pid))
})

test('a start without hope is told in one sentence and not tried again', async t => {
  const { supervisor, lines } = fleet(t, { gateway: 'hopeless', sink: 'steady' })
  await assert.rejects(supervisor.ready, { code: 'port_taken', message: 'Port 1 is taken by another program.' })
  await supervisor.stop()
  assert.ok(!lines.some(line => line.waitMs !== undefined))
})

test('one process that is told to stop drains, and is started again', async t => {
  const { supervisor, said } = fleet(t, { gateway: 'slow', sink: 'slow' })
  await supervisor.ready
  const { pid } = said('up').find(note => note.name === 'gateway')!
  process.kill(pid, 'SIGTERM')
  await until('its drain', () => said('closed').length === 1)
  await until('its next life', () => said('up').length === 3)
  assert.deepEqual(said('closed'), [{ name: 'gateway', what: 'closed', pid }])
})

async function ownSupervisor(t: TestContext) {
  const { journal, notes, said } = stage(t)
  const child: ChildProcess = spawn(process.execPath, [path.join(here, 'fleet.ts'), journal], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout!, 'data') // it says `ready`
  return { child, notes, said }
}

test('where the supervisor is killed, its processes drain by themselves', async t => {
  const { child, notes, said } = await ownSupervisor(t)
  child.kill('SIGKILL')
  await until('their drain', () => said('closed').length === 3)
  await until('their end', () => notes().every(({ pid }) => !alive(pid)))
})

test('a signal to the whole group, as a terminal or a service manager sends it, keeps the order', async t => {
  const { child, notes, said } = await ownSupervisor(t)
  for (const { pid } of said('up')) process.kill(pid, 'SIGTERM')
  child.kill('SIGTERM')
  await once(child, 'exit')
  assert.deepEqual(
    said('closed').map(({ name }) => name),
    ['first', 'second', 'third'],
  )
  assert.equal(said('up').length, 3)
  for (const { pid } of notes()) assert.ok(!alive(pid))
})

test('a port that is taken is told with the way out, and a free one is found for 0', async t => {
  const other = net.createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())
  const { port } = other.address() as net.AddressInfo
  const door = { variable: 'SLUICE_PORT', host: '127.0.0.1', port }
  await assert.rejects(checkDoors([door]), {
    code: 'port_taken',
    message: `Port ${port} on 127.0.0.1 is taken by another program; stop it or set SLUICE_PORT to another port.`,
  })
  const [one, two] = await checkDoors([
    { ...door, port: 0 },
    { ...door, port: 0 },
  ])
  assert.ok(one !== undefined && two !== undefined && one > 0 && one !== two)
  await assert.rejects(checkDoors([{ ...door, host: '192.0.2.1' }]), /192\.0\.2\.1 is not an address of this machine/)
})
