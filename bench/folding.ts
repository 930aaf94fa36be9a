import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { pino } from 'pino'
import { encode, type Message } from '../schemas/events.ts'
import { encodeLedger } from '../schemas/money.ts'
import { topics } from '../schemas/topics.ts'
import { nodesOf } from '../services/core/money/budget.ts'
import { budgetsOf } from '../services/core/money/caps.ts'
import { rulesGroup, startEnforcer } from '../services/enforcer/enforcer.ts'
import { rulesName } from '../services/enforcer/remembered.ts'
import type { Shelf } from '../services/enforcer/shelf.ts'
import { openSnapshots, type Snapshots } from '../services/enforcer/snapshots.ts'
import { ledgerGroup } from '../services/enforcer/treasury.ts'
import { type Config, parseConfig } from '../services/io/config/config.ts'
import { openFileLog } from '../services/io/log/file/file.ts'
import type { EventLog } from '../services/io/log/port.ts'
import { type FleetSize, openFleet } from './folding/fleet.ts'
import { openTills } from './folding/tills.ts'

/**
 * The enforcer folds a log that was written before, in a process of its own: the very one, with rules and owners, alerts
 * and snapshots, from files on a disk. Counted is all CPU of the process, that of the garbage collector too.
 */
export type Folding = FleetSize & {
  readonly what: 'events' | 'ledger'
  readonly perRound: number
  readonly rounds: number
}

export type Folded = {
  /** CPU microseconds for each record, of each round. */
  readonly usEach: readonly number[]
  readonly bytesEach: number
  readonly heapMb: number
  readonly rssMb: number
  /** What it had to decide. */
  readonly decisions: number
}

/** In which the compiler gets done with all that is on the way. */
const warmRecords = 100_000

async function measure({ what, perRound, rounds, ...size }: Folding): Promise<Folded> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-folding-'))
  const log = openFileLog({ dir: path.join(dir, 'log') })
  const config = configOf(size)
  const { topic, group, first, next } = what === 'events' ? eventsOf(size) : ledgerOf(size, config)
  try {
    await log.ensure(Object.values(topics))
    const written = await write(log, topic, first, next, warmRecords + perRound * rounds)
    /** When so many records were folded, a round's are. */
    const dueAt = (round: number): number => written.records - (rounds - round) * perRound
    const marks: number[] = []
    const kept = Promise.withResolvers<void>()
    const done = Promise.withResolvers<void>()
    let folded = 0
    const counted: EventLog = {
      ...log,
      consume: (of, topics, worker) =>
        log.consume(of, topics, {
          ...worker,
          async onBatch(batch) {
            await worker.onBatch(batch)
            if (of !== group) return
            folded += batch.records.length
            // So far all is new, and the first keep is of everything; from then on, as in a long life, of what has changed.
            if (marks.length === 0 && folded >= dueAt(0)) await kept.promise
            while (marks.length <= rounds && folded >= dueAt(marks.length)) marks.push(cpuUs())
            if (folded >= written.records) done.resolve()
          },
        }),
    }
    const snapshots = openSnapshots(path.join(dir, 'enforcer'))
    const watched: Snapshots = {
      shelf(name, limits) {
        const shelf = snapshots.shelf(name, limits)
        const keep = async (...what: Parameters<Shelf['keep']>) => {
          await shelf.keep(...what)
          if (name === rulesName) kept.resolve() // the last of them
        }
        return { ...shelf, keep }
      },
    }
    const enforcer = await startEnforcer({
      log: counted,
      life: { producer: 'enforcer-0', epoch: 1 },
      config,
      settings: { termMs: 60_000, marginMs: 5_000, keepsLease: false },
      owners: 'one',
      snapshots: watched,
      logger: pino({ level: 'warn' }),
    })
    await Promise.race([done.promise, enforcer.ended])
    const { heapUsed, rss } = process.memoryUsage()
    await enforcer.close()
    const { end } = await log.bounds({ topic: topics.control.name, partition: 0 })
    return {
      usEach: marks.slice(1).map((mark, i) => (mark - (marks[i] ?? 0)) / perRound),
      bytesEach: written.bytes / written.records,
      heapMb: heapUsed / 2 ** 20,
      rssMb: rss / 2 ** 20,
      decisions: end,
    }
  } finally {
    await log.close()
    fs.rmSync(dir, { recursive: true, force: true })
  }
}

const cpuUs = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}

type Source = {
  readonly topic: string
  readonly group: string
  /** Once, before anything is measured: so that all agents are known. */
  readonly first: Iterable<Message>
  readonly next: () => Message
}

function eventsOf(size: FleetSize): Source {
  const fleet = openFleet(size)
  const messageOf = (event: ReturnType<typeof fleet.next>) => encode(event, event.root_run_id)
  return {
    topic: topics.events.name,
    group: rulesGroup,
    first: fleet.first().map(messageOf),
    next: () => messageOf(fleet.next()),
  }
}

function ledgerOf(size: FleetSize, caps: Config): Source {
  const now = Date.now()
  const nodeOf = (id: string): string =>
    nodesOf([{ id, partition: 0, budgets: budgetsOf(caps, id) ?? [] }], now)[0]?.node ?? id
  const tills = openTills(size, nodeOf)
  let sequence = 0
  const next = (): Message => {
    const said = tills.next().value
    const producer = 'ledger-0'
    const envelope = { id: `${producer}.1.${sequence++}`, source: `/sluice/${producer}`, time: now }
    return encodeLedger(envelope, said, 'node' in said ? said.node : 'beat')
  }
  return { topic: topics.ledger.name, group: ledgerGroup, first: Array.from({ length: size.agents * 4 }, next), next }
}

/** Each agent, team and all together under a cap, which nothing comes near to; breakers as they are by default. */
function configOf({ agents }: FleetSize): Config {
  const config = parseConfig(policy, null, {})
  const agent = config.agents.get('any')
  const team = config.teams.get('any')
  if (agent === undefined || team === undefined) throw new Error('the policy of the bench has no agent')
  return {
    ...config,
    agents: new Map(Array.from({ length: agents }, (_, n) => [`agent-${n}`, { ...agent, team: `team-${n % 20}` }])),
    teams: new Map(Array.from({ length: 20 }, (_, n) => [`team-${n}`, team])),
  }
}

const policy = `
org: { budgets: [{ limitUsd: 1000000, window: 1mo }] }
teams: { any: { budgets: [{ limitUsd: 1000000, window: 1mo }] } }
agents: { any: { team: any, budgets: [{ limitUsd: 100000, window: 1d, alertAt: [0.5, 0.8] }] } }
`

/** As much as a busy gateway appends in a turn of its event loop, and no more than memory has room for. */
const perTurn = 2_000

async function write(log: EventLog, topic: string, first: Iterable<Message>, next: () => Message, more: number) {
  const writer = await log.writer(topic)
  const told = { records: 0, bytes: 0 }
  const append = async (message: Message): Promise<void> => {
    told.bytes += message.value.length
    writer.append(message, fault => {
      if (fault !== null) throw fault
    })
    if (++told.records % perTurn === 0) await new Promise(resolve => setImmediate(resolve))
  }
  for (const message of first) await append(message)
  for (let n = 0; n < more; n++) await append(next())
  await writer.flush()
  await writer.close()
  return told
}

process.on('disconnect', () => process.exit(0))
process.on('message', async message => {
  process.send?.(await measure(message as Folding)) // both ends of this pipe are ours
})
process.send?.({})
