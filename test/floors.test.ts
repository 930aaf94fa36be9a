import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'

/** The house has floors, and imports only go down. What stands in no row here has not been given a place yet. */
const floors = [
  { name: 'vocabulary', number: 0, rooms: ['schemas'], npm: ['zod'], node: false },
  {
    name: 'decisions',
    number: 1,
    // Translation tables of the gateway are decisions too, wherever they lie.
    rooms: ['services/core', 'services/gateway/protocols', 'services/gateway/providers', 'services/gateway/guardrails'],
    npm: [],
    node: false,
  },
  { name: 'the world', number: 2, rooms: ['services/io', 'services/broker'], npm: 'any', node: true },
  {
    name: 'roles',
    number: 3,
    rooms: ['gateway', 'enforcer', 'sink', 'console', 'warehouse', 'replay'].map(role => `services/${role}`),
    npm: 'any',
    node: true,
  },
  {
    name: 'start',
    number: 4,
    rooms: ['services/cli', 'services/supervisor', 'services/main.ts'],
    npm: 'any',
    node: true,
  },
] as const

const root = path.join(import.meta.dirname, '..')
const files = ['schemas', 'services'].flatMap(dir =>
  fs
    .globSync(`${dir}/**/*.ts`, { cwd: root })
    .map(file => ({ file, text: fs.readFileSync(path.join(root, file), 'utf8') })),
)
const within = (file: string, room: string) => file === room || file.startsWith(`${room}/`)
/** The floor and the room of a file; the deepest room wins. */
function placeOf(file: string) {
  const places = floors.flatMap(floor => floor.rooms.filter(room => within(file, room)).map(room => ({ floor, room })))
  return places.sort((a, b) => b.room.length - a.room.length)[0]
}

/** `import … from 'x'`, `export … from 'x'`, `import 'x'`, `import('x')`. */
const imported = (text: string): readonly string[] =>
  [
    ...text.matchAll(
      /(?:^|\n)\s*(?:import|export)\b[^'"\n]*?(?:\{[^}]*\}[^'"\n]*?)?\bfrom\s+'([^']+)'|\bimport\s*\(?\s*'([^']+)'/g,
    ),
  ].map(([, from, bare]) => from ?? bare ?? '')

/** What is wrong with one import, in words; null where it may stay. */
function climbs(file: string, what: string): string | null {
  const here = placeOf(file)
  if (here === undefined) return `${file} is in no room of the house; give its folder a floor in test/floors.test.ts`
  const { floor, room } = here
  if (!what.startsWith('.')) {
    if (what.startsWith('node:'))
      return floor.node ? null : `${file} (${floor.name}) asks Node for ${what}; only the floors above do`
    const name = what.startsWith('@') ? what.split('/').slice(0, 2).join('/') : what.split('/')[0]!
    const may = floor.npm === 'any' || floor.npm.some(allowed => allowed === name)
    return may ? null : `${file} (${floor.name}) imports the package ${name}`
  }
  const target = path.normalize(path.join(path.dirname(file), what))
  if (target === 'package.json') return null
  const there = placeOf(target)
  if (there === undefined) return `${file} imports ${target}, which is in no room of the house`
  if (there.floor.number > floor.number) return `${file} (${floor.name}) climbs up to ${target} (${there.floor.name})`
  if (floor.name === 'the world' && there.floor.name === 'decisions')
    return `${file} (the world) decides by ${target}; whoever joins the two stands above`
  if (floor.name === 'roles' && there.floor.name === 'roles' && there.room !== room)
    return `${file} speaks to ${target}; roles meet on the log only`
  return null
}

test('imports only go down', () => {
  assert.ok(files.length > 10)
  const wrong = files.flatMap(({ file, text }) => imported(text).flatMap(what => climbs(file, what) ?? []))
  assert.deepEqual(wrong, [])
})

test('decisions have no clock, no chance, no environment and wait for nothing', () => {
  const impure =
    /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bperformance\.|\bprocess\.|\bconsole\.|\basync\b|\bawait\b|\bsetTimeout\(|\bcrypto\./
  const wrong = files.flatMap(({ file, text }) => {
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
    const found = placeOf(file)?.floor.name === 'decisions' ? impure.exec(code) : null
    return found === null ? [] : [`${file} has ${found[0]}`]
  })
  assert.deepEqual(wrong, [])
})

test('the environment is read in one place', () => {
  const wrong = files.filter(
    ({ file, text }) => /\bprocess\.env\b/.test(text) && !/^services\/(io\/config|cli\/run\.ts)/.test(file),
  )
  assert.deepEqual(
    wrong.map(({ file }) => file),
    [],
  )
})

test('a file is one noun: none in services is longer than 350 lines', () => {
  const long = files.filter(({ file, text }) => file.startsWith('services/') && text.split('\n').length > 351)
  assert.deepEqual(
    long.map(({ file }) => file),
    [],
  )
})

test('the lock file names the engine of all four platforms, so that npm ci works on each', () => {
  const lock: { readonly packages: Readonly<Record<string, unknown>> } = JSON.parse(
    fs.readFileSync(path.join(root, 'package-lock.json'), 'utf8'),
  )
  for (const platform of ['darwin-arm64', 'darwin-x64', 'linux-arm64-gnu', 'linux-x64-gnu'])
    assert.ok(lock.packages[`node_modules/@chdb/lib-${platform}`] !== undefined, platform)
})
