import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import type { TestContext } from 'node:test'

/**
 * Requests that arrived at a server of this process, told by Node itself: a client under test stays as it is shipped, and
 * what it repeats behind its caller's back is seen all the same. Counts on until the test ends.
 */
export function arrivalsAt(t: TestContext, port: number): readonly string[] {
  const arrived: string[] = []
  const channel = 'http.server.request.start'
  const seen = (message: unknown) => {
    const { request } = message as { request: IncomingMessage } // what Node documents for this channel
    if (request.socket.localPort === port) arrived.push(`${request.method} ${request.url?.split('?')[0]}`)
  }
  subscribe(channel, seen)
  t.after(() => void unsubscribe(channel, seen))
  return arrived
}
