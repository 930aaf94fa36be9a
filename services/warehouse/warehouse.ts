import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { totalmem } from 'node:os'
import type { Logger } from 'pino'
import { authenticate, type Users } from './access.ts'
import { Answer } from './answer.ts'
import { readAsk } from './ask.ts'
import { Bodies } from './body.ts'
import { type Engine, openEngine } from './engine.ts'
import { fromEngine, QueryException, refusal } from './exception.ts'
import { lazyFunctions } from './functions.ts'
import { type Desk, makeLanes, perform } from './perform.ts'
import { makePipes } from './pipes.ts'
import { type AnalystLimits, defaultAnalystLimits } from './settings.ts'

export type WarehouseOptions = {
  /** chdb's directory; made if absent. One process at a time. */
  readonly dataDir: string
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Passwords. */
  readonly users: Users
  readonly database?: string
  readonly log: Logger
  readonly analystLimits?: Partial<AnalystLimits> | undefined
  /** For the whole engine. Default: half the machine, at most 4 GiB. */
  readonly memoryLimitBytes?: number
}

export type Warehouse = {
  readonly url: string
  readonly port: number
  /** Takes nothing new, lets what runs finish for a moment, cancels the rest, lets go of the directory. */
  close(): Promise<void>
}

/**
 * While draining, what runs gets so long to finish by itself before it is cancelled; a sink sends a cancelled batch again.
 * The supervisor's patience is 10 s, and its kill -9 does no harm.
 */
const drainMs = 3_000

/**
 * The embedded ClickHouse: chdb behind ClickHouse's HTTP interface, in a process of its own. Clients cannot tell it
 * from a server but for sessions, which are not kept, and for what needs a cluster.
 */
export async function startWarehouse(options: WarehouseOptions): Promise<Warehouse> {
  const { log, users, database = 'sluice' } = options
  const memory = options.memoryLimitBytes ?? Math.min(4 * 2 ** 30, totalmem() / 2)
  const engine = await openEngine(options.dataDir, Math.round(memory))
  const desk = await prepare(engine, options, database)
  const bodies = new Bodies()
  const down = new AbortController()
  const draining = new AbortController()
  const running = new Set<Promise<void>>()

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const answer = new Answer(response, engine.version, engine.timezone)
    const gone = new AbortController()
    response.once('close', () => {
      if (!response.writableFinished) gone.abort(new Error('the client has left'))
    })
    try {
      const url = new URL(request.url ?? '/', 'http://warehouse')
      if (draining.signal.aborted) {
        response.setHeader('Connection', 'close')
        throw refusal('ABORTED', 'The warehouse is shutting down')
      }
      if (url.pathname === '/ping' || url.pathname === '/replicas_status') return answer.plain(200, 'Ok.\n')
      if (url.pathname !== '/')
        return answer.plain(404, `There is no handle ${url.pathname}\n\nUse / or /ping for health checks.\n`)
      if (request.method !== 'POST' && !url.searchParams.has('query')) return answer.plain(200, 'Ok.\n')
      const user = authenticate(users, request.headers, url.searchParams)
      const { bytes, release } = await bodies.read(request)
      try {
        const ask = readAsk(user, request, url.searchParams, bytes, database)
        answer.about(ask)
        await perform(desk, ask, answer, gone.signal, down.signal)
      } finally {
        release()
      }
    } catch (error) {
      if (gone.signal.aborted || request.errored !== null) return
      const told = asException(error)
      // What the engine says of a statement is for its sender; what nobody foresaw is for us.
      if (told.type === 'UNKNOWN_EXCEPTION') log.error({ err: error }, 'a statement failed in an unknown way')
      answer.fail(told)
    }
  }

  const server = createServer(
    {
      // A query in the URL may be long: the server's own limit.
      maxHeaderSize: 1_048_576,
      headersTimeout: 10_000,
      // Bodies are watched piece by piece; a bulk load may take its time as a whole.
      requestTimeout: 0,
      // Longer than clients keep idle sockets (2.5 s in @clickhouse/client), so that they close them, not we.
      keepAliveTimeout: 30_000,
    },
    (request, response) => {
      const work = serve(request, response).finally(() => running.delete(work))
      running.add(work)
    },
  )
  server.maxConnections = 512
  await listen(server, options.host, options.port)
  const { port } = server.address() as AddressInfo
  log.info({ port, dataDir: options.dataDir, version: engine.version }, 'warehouse is open')

  return {
    url: `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    port,
    close: async () => {
      draining.abort()
      const closed = new Promise(resolve => server.close(resolve))
      server.closeIdleConnections()
      const timer = setTimeout(() => down.abort(refusal('ABORTED', 'The warehouse is shutting down')), drainMs)
      while (running.size > 0) await Promise.allSettled(running)
      clearTimeout(timer)
      server.closeAllConnections()
      await closed
      await engine.close()
      desk.pipes.close()
      log.info('warehouse is closed')
    },
  }
}

async function prepare(engine: Engine, options: WarehouseOptions, database: string): Promise<Desk> {
  const { log } = options
  if (!/^[A-Za-z_]\w*$/.test(database)) throw new Error(`not a database name: ${database}`)
  const connection = engine.connect('start')
  try {
    // Atomic: the engine's own default keeps tables elsewhere and cannot refresh views.
    await connection.query(`CREATE DATABASE IF NOT EXISTS ${database} ENGINE = Atomic`, 'Null')
    const lanes = makeLanes()
    const count = lanes.read.limits.width + lanes.analyst.limits.width + lanes.write.limits.width
    return {
      engine,
      lanes,
      pipes: makePipes(options.dataDir, count, err =>
        log.warn({ err }, 'no named pipes here: results are held in memory before they are sent'),
      ),
      gate: { database, functions: lazyFunctions(engine) },
      limits: { ...defaultAnalystLimits, ...options.analystLimits },
    }
  } finally {
    connection.close()
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function asException(error: unknown): QueryException {
  if (error instanceof QueryException) return error
  if (error instanceof TypeError && /Invalid URL/.test(error.message))
    return refusal('BAD_ARGUMENTS', 'The URL cannot be read')
  return fromEngine(error)
}
