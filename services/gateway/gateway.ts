import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { type Continued, encodeFact, type Fact } from '../../schemas/events.ts'
import type { Standing } from '../core/runs/stops.ts'
import type { Config } from '../io/config/config.ts'
import type { Life } from '../io/epoch.ts'
import type { EventLog, Partition } from '../io/log/port.ts'
import type { AppliedPolicy } from '../io/policy/follow.ts'
import { openBodyReader } from './caller.ts'
import { type BearerFiles, followBearers } from './identity/bearers.ts'
import { openListener } from './listener.ts'
import { carryOn } from './memory/carry.ts'
import { endedElsewhere } from './memory/ended-elsewhere.ts'
import type { Memory } from './memory/memory.ts'
import { openCalls } from './memory/open-calls.ts'
import { followPeers, noPeers } from './memory/peers.ts'
import { openQueued } from './memory/queued.ts'
import { crashed, memoryMarks, takeOver } from './memory/recover.ts'
import { openReports } from './memory/reports.ts'
import { openMetrics } from './metrics.ts'
import { openHabits } from './money/habits.ts'
import { openMoney } from './money/money.ts'
import { openPrices } from './money/prices.ts'
import { openReplicated, type Shipping } from './money/replicated.ts'
import type { Pipeline } from './parts.ts'
import { openInForce } from './policy/in-force.ts'
import { openRecorder } from './recorder.ts'
import { workOfRun } from './runs/facts.ts'
import { openRuns, type Run, retold } from './runs/runs.ts'
import { unansweredFacts } from './runs/tools.ts'
import { simulator } from './simulator/simulator.ts'
import { openRunBreakers, type RunBreakers } from './stops/breakers.ts'
import { followControl } from './stops/control.ts'
import { openKillswitch } from './stops/killswitch.ts'
import { rehearseKill } from './stops/rehearsal.ts'
import { tellStops } from './stops/told.ts'
import { openDispatch } from './upstream/dispatch.ts'
import { openForwarding } from './upstream/forward.ts'

export type GatewayOptions = BearerFiles & {
  readonly config: Config
  readonly host: string
  readonly port: number
  /** Several gateway processes behind one port. */
  readonly reusePort?: boolean
  /** The log next to this process: in embedded mode the log itself, else the spool that a forwarder ships from. */
  readonly log: EventLog
  /** This gateway's own partition of it. */
  readonly at: Partition
  readonly life: Life
  /** Whose epoch was ended while it was away goes on in a new one. */
  readonly nextLife: () => Life
  /** Given where a call's admission and hold have to be shipped before its provider is asked. */
  readonly shipping?: Shipping
  /** Owners of the ledger: one where it is embedded, one for each partition of Kafka's. */
  readonly ledgerOwners: number
  /** Where all roles meet: the same log in embedded mode, Kafka beyond one machine. */
  readonly shared: EventLog
  readonly adminToken: string
  /** Where what is known of stops is kept for a start without the shared log. */
  readonly stopsFile?: string
  /** Where the policy that was applied is kept for the same. */
  readonly policyFile?: string
  /** What this machine adds to whatever policy is in force: the key of the quick start. */
  readonly own?: (config: Config) => Config
  /** There are other gateways on the shared log: their runs are this one's too. */
  readonly peers?: boolean
  readonly logger: Logger
  /** Age of the oldest event that has not reached the shared log, where there is a forwarder. */
  readonly backlog?: () => { readonly records: number; readonly ageMs: number }
}

export type Gateway = {
  readonly port: number
  /** What was applied and so holds instead of the file; null where the file does. */
  readonly applied: () => AppliedPolicy | null
  /** Rejects when this process can no longer follow the facts it decides by, and so must not go on. */
  readonly broken: Promise<never>
  /** Refuses new calls, lets those in flight end (at most `drainMs`), flushes the log. */
  close(drainMs?: number): Promise<void>
}

/** How often it is looked for runs that have been idle for too long. */
const endEveryMs = 500

/** Reading what the last half hour left takes a fraction of this. */
const peersWaitMs = 3_000

/** Runs that ended are of no use to the rules; looking at all of them takes a millisecond for each ten thousand. */
const evictEveryMs = 60_000

/** How often the mark is moved that tells a next life where to begin reading. */
const markEveryMs = 2_000

export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, log, life, logger } = options
  const writer = await log.writer(options.at.topic, { partition: options.at.partition })
  const recorder = openRecorder<Fact | Continued>({
    writer,
    life,
    encode: encodeFact,
    said: (envelope, fact) => breakers?.see(envelope, fact),
  })
  const open = openCalls()
  const queued = openQueued()
  const short = life.producer.replace(/^gateway-/, '')
  const network = openDispatch()
  let forget = () => {}
  let breakers: RunBreakers | null = null
  const inForce = await openInForce({
    log: options.shared,
    start: config,
    own: options.own ?? (config => config),
    upstreams: { network, simulator },
    changed: () => {
      forget()
      breakers?.follow(inForce.policies().breakers, inForce.policies().version)
    },
    ...(options.policyFile === undefined ? {} : { file: options.policyFile }),
    logger,
  })
  const idleMs = () => inForce.config().runs.defaults.idleTimeoutMs
  /** What a run that goes on tells again from time to time is found within this. */
  const rememberedMs = () => idleMs() * (1 + retold)
  // The name of a run holds the life that named it, which may spend there unasked: no two ever mint the same.
  let spender: () => number = () => life.epoch
  const runs = openRuns({ mint: numbered(() => `run-${short}-${spender()}`), idleMs })
  const reports = openReports()
  const killswitch = openKillswitch({
    observed: it => told.observed(it),
    heard(signal) {
      if (signal.type === 'resume') breakers?.resumed(signal.scope)
      told.heard(signal)
    },
    ...(options.stopsFile === undefined ? {} : { file: options.stopsFile }),
    onFault: error => logger.warn({ err: error }, 'what is known of stops could not be kept'),
  })
  const { breakers: policy, version } = inForce.policies()
  breakers = openRunBreakers(policy, version, killswitch.ruled.bind(killswitch))
  const memory: Memory = { runs, queued, reports, asked: event => void killswitch.asked(event) }
  const former = await takeOver(log, options.at, memory, Date.now() - rememberedMs())
  const { orphans } = former
  for (const { offset, call } of former.waiting) {
    open.begin(offset, call)
    open.hold(call.requestId, offset)
  }
  for (const admission of orphans) recorder.tell(crashed(admission, Date.now()), admission.root_run_id)
  if (orphans.length > 0)
    logger.warn({ calls: orphans.length }, 'calls of a former life had no end; they are settled at their bound')
  await writer.flush()
  const money = await openMoney({
    log,
    partition: options.at.partition,
    life,
    nextLife: options.nextLife,
    owners: options.ledgerOwners,
    termMs: config.leases.termMs,
    former: former.calls,
    eventsEnd: (await log.bounds(options.at)).end,
    logger,
  })

  const peers =
    options.peers === true
      ? followPeers({
          log: options.shared,
          source: `/sluice/${life.producer}`,
          memory,
          idleMs: rememberedMs,
          ended: event => endedElsewhere({ open, recorder, money }, event),
          logger,
        })
      : noPeers
  const bearers = followBearers(options.shared, inForce, options, logger)
  forget = bearers.identities.forget
  const control = followControl({
    log: options.shared,
    listeners: [killswitch.hear, record => record.about === 'money' && money.hear(record.decision)],
    spender: money.till.life,
    remembered: killswitch.remembered,
  })
  await bearers.keysKnown
  control.caughtUp.then(() => killswitch.caughtUp()).catch(() => {}) // told by `ended`
  // A run and its limits, or who signed a token, may be known to others only; but a log that is away is not waited for.
  const others = Promise.all([peers.known, bearers.signersKnown])
  await Promise.all([control.known, Promise.race([others, sleep(peersWaitMs, undefined, { ref: false })])])
  spender = () => money.till.life().epoch
  const inFlight = { count: 0, draining: false }
  const requests = `req-${short}-${life.epoch}`
  const pipeline: Pipeline = {
    policies: inForce.policies,
    identities: bearers.identities,
    runs,
    killswitch,
    peers,
    get payloads() {
      return inForce.payloads()
    },
    reports,
    queued,
    recorder,
    forward: openForwarding(),
    bodies: openBodyReader({ maxBytes: config.limits.bodyBytes, idleMs: config.limits.bodyIdleTimeoutMs }),
    prices: openPrices(),
    money,
    replicated: options.shipping === undefined ? null : openReplicated(options.shipping, money.till),
    habits: config.holds === 'learned' ? openHabits() : null,
    metrics: openMetrics({
      inFlight: () => inFlight.count,
      written: recorder.written,
      waiting: recorder.waiting,
      money: money.till.figures,
      queueAgeMs: () => Math.max(writer.backlog().ageMs, options.backlog?.().ageMs ?? 0),
    }),
    limits: config.limits,
    mintRequestId: numbered(() => requests),
    inFlight,
    open,
  }
  const told = tellStops({ recorder, runs, metrics: pipeline.metrics })

  const marks = memoryMarks(log, options.at, rememberedMs)
  const marking = setInterval(() => {
    log
      .bounds(options.at)
      .then(bounds => carryOn(pipeline, bounds))
      .then(() => marks.move(open.oldest(), Date.now()))
      .catch(error => logger.warn({ err: error }, 'the mark of what to remember could not be moved'))
  }, markEveryMs)
  const ending = setInterval(() => {
    for (const run of runs.idle(run => killswitch.stopOf(run.scopes)?.stop.type === 'pause'))
      for (const fact of endOf(run, killswitch.stopOf(run.scopes))) recorder.tell(fact, run.rootId)
  }, endEveryMs)

  const evicting = setInterval(() => breakers?.evict(Date.now() - idleMs()), evictEveryMs)

  const app = openListener({
    limits: config.limits,
    pipeline,
    admin: {
      token: options.adminToken,
      log: options.shared,
      live: inForce.live,
      ledgerOwners: options.ledgerOwners,
    },
    signer: bearers.signer,
    logger,
  })
  await rehearseKill().catch(error => logger.warn({ err: error }, 'the first kill of this process will be slow'))
  await app.listen({
    host: options.host,
    port: options.port,
    ...(options.reusePort === true ? { reusePort: true } : {}),
  })
  // Ahead of the first token, so that the others know its key by then. Where it fails, whoever asks for a token is told.
  if (options.peers === true) bearers.signer.ready().catch(() => {})
  const address = app.server.address()

  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    applied: inForce.live.applied,
    broken: Promise.all([bearers.ended, control.ended, inForce.live.ended]).then(() => new Promise<never>(() => {})),
    async close(drainMs = 8_000) {
      inFlight.draining = true
      const deadline = performance.now() + drainMs
      while (inFlight.count > 0 && performance.now() < deadline) await new Promise(resolve => setTimeout(resolve, 20))
      app.server.closeAllConnections()
      await app.close()
      clearInterval(marking)
      clearInterval(ending)
      clearInterval(evicting)
      await control.close()
      await killswitch.close()
      await bearers.close()
      await inForce.live.close()
      await peers.close()
      pipeline.bodies.close()
      await network.close()
      await money.close()
      await recorder.close()
    },
  }
}

/** `name-1`, `name-2`, …; joined, for a text in one piece is quicker to serialise than one that is put together. */
function numbered(name: () => string): () => string {
  let last = 0
  return () => [name(), ++last].join('-')
}

/** A run that nobody goes on with has ended, and what it waits for will not come. */
function endOf(run: Run, stopped: Standing | null): readonly Fact[] {
  const work = workOfRun(run)
  if (work === null) return []
  const unanswered = unansweredFacts(run.calls, Date.now())
  // One that was killed stays so.
  if (stopped?.stop.type === 'kill') return unanswered
  return [...unanswered, { type: 'run.finished', ...work, reason: 'idle', actor: 'gateway' }]
}
