import http from 'node:http'

/** How a role without a door of its own is looked at: `/health`, `/ready` and `/metrics`, for probes and Prometheus. */
export type StatusOptions = {
  readonly host: string
  readonly port: number
  /** Null where it can do its work, else why it cannot. */
  readonly notReady: () => string | null
  readonly metrics: { readonly contentType: string; text(): Promise<string> }
}

export type Status = { readonly port: number; close(): Promise<void> }

/** A probe is one line; whoever sends more, or sends slowly, is no probe. */
const requestMs = 5_000
const connections = 64

/** Throws the system's error where the port cannot be opened. */
export async function openStatus(options: StatusOptions): Promise<Status> {
  const server = http.createServer({ requestTimeout: requestMs, keepAliveTimeout: requestMs }, (req, res) => {
    answer(req.url?.split('?')[0] ?? '/', req.method ?? 'GET').then(
      ({ status, type, body }) => res.writeHead(status, { 'content-type': type }).end(body),
      error => {
        res.writeHead(500, { 'content-type': text }).end('The figures cannot be told.\n')
        throw error
      },
    )
  })
  server.maxConnections = connections

  const answer = async (path: string, method: string) => {
    if (method !== 'GET' && method !== 'HEAD') return say(405, 'Only GET.')
    switch (path) {
      case '/health':
        return { status: 200, type: json, body: JSON.stringify({ status: 'ok' }) }
      case '/ready': {
        const why = options.notReady()
        return why === null
          ? { status: 200, type: json, body: JSON.stringify({ status: 'ready' }) }
          : { status: 503, type: json, body: JSON.stringify({ status: 'not ready', why }) }
      }
      case '/metrics':
        return { status: 200, type: options.metrics.contentType, body: await options.metrics.text() }
      default:
        return say(404, 'There is /health, /ready and /metrics.')
    }
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: options.host, port: options.port, exclusive: true }, resolve)
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const json = 'application/json'
const text = 'text/plain; charset=utf-8'
const say = (status: number, sentence: string) => ({ status, type: text, body: `${sentence}\n` })
