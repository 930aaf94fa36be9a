import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decode, encode, type Fact } from '../../../schemas/events.ts'
import type { Standing } from '../../core/runs/stops.ts'
import { openai } from '../protocols/protocols.ts'
import { refusals } from '../refusals.ts'
import { settle } from '../settle.ts'
import { openDispatch } from '../upstream/dispatch.ts'
import { attempt, type Client } from '../upstream/exchange.ts'
import { readControl } from './control.ts'
import { type Killswitch, openKillswitch, type StoppableCall } from './killswitch.ts'

/**
 * A kill is rare, and must not be slow for being the first of this process: code that runs for the first time is read and
 * compiled first, which takes longer than all the rest. So a kill is gone through once, before the doors open, with parts
 * that nobody else has: a provider on the loopback begins an answer, the run is killed, the call is ended and settled, the
 * decision comes back from control. Of all this nothing is written.
 *
 * Once for all gateways of a process. Rejects where the call was not ended by its kill.
 */
export const rehearseKill = (): Promise<void> => {
  rehearsed ??= rehearse()
  return rehearsed
}
let rehearsed: Promise<void> | null = null

async function rehearse(): Promise<void> {
  const provider = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(begun)
  })
  const network = openDispatch()
  const killswitch = openKillswitch({ observed: () => {} })
  try {
    await once(provider.listen(0, '127.0.0.1'), 'listening')
    const { port } = provider.address() as AddressInfo // listening on TCP, so not a pipe's name
    const matched = openai.doors.open('POST', path)
    if (matched === null) throw new Error(`there is no door at ${path}`)
    const body = Buffer.from(JSON.stringify(question))
    const ask = openai.ask(matched, question, body)
    const call = callUnder(killswitch)
    killswitch.begin(call)
    const last = await attempt({
      upstream: network,
      request: { method: 'POST', origin: `http://127.0.0.1:${port}`, path, headers: [], body, timeoutMs },
      client: call,
      stream: true,
      meter: head => openai.meter(matched, ask, head, { hideUsage: false, wholeEvents: true }),
      headers: () => [],
    })
    settle(last, { operation: matched.route.operation, ask, requestBytes: body.length })
    killswitch.end(call)
    if (call.stopped === null) throw new Error('the kill that was rehearsed did not come to its call')
    openai.streamError(matched, refusals.stopped(call.stopped, run, Date.now()))
  } finally {
    await killswitch.close()
    await network.close()
    provider.closeAllConnections()
    provider.close()
  }
}

/** Its run is killed when the first of its answer comes: as another gateway hears of it, and then from control. */
function callUnder(killswitch: Killswitch): Client & StoppableCall {
  const call = {
    gone: false,
    stopped: null as Standing | null,
    listener: null as Client['listener'],
    path: () => [`run:${run}`],
    stop(by: Standing) {
      call.stopped = by
      call.listener?.stopped()
    },
    head() {},
    write() {
      const heard = decode(encode({ id: `${run}.0.0`, source: '', time: Date.now(), ...killed }, run))
      const decided = 'event' in heard ? killswitch.asked(heard.event) : null
      if (decided !== null) {
        const { id, time, signal } = decided
        const record = readControl({ ...encode({ id, source: '', time, ...signal }, null), offset: 0 })
        if (record !== null) killswitch.hear(record)
      }
      return true
    },
  }
  return call
}

/** A start is not held up for longer. */
const timeoutMs = 1_000
const path = '/v1/chat/completions'
const run = 'rehearsal'
const killed: Fact = { type: 'run.killed', agent: '', run_id: run, root_run_id: run, actor: 'gateway' }
const question = { model: run, stream: true, messages: [{ role: 'user', content: 'Are you ready?' }] }
const begun = `data: ${JSON.stringify({ id: run, object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: 'Yes' }, finish_reason: null }] })}\n\n`
