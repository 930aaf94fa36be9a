import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Event } from '../../schemas/events.ts'
import type { LlmCompleted } from '../../schemas/llm.ts'
import { hashOfKey } from '../../services/io/keys/keys.ts'
import { mintAgentKey } from '../../services/io/keys/mint.ts'
import { arrivalsAt } from './arrivals.ts'
import { allDoors } from './doors.ts'
import { startTestGateway } from './gateway.ts'
import { type ScriptedUpstream, startUpstream } from './upstream.ts'

/** A gateway as a vendor's SDK meets it: the simulator answers to `simulator`, a scripted upstream to `made-up`. */
export type SdkBench = {
  readonly url: string
  readonly key: string
  /** The key of an agent that may use `simulator` alone. */
  readonly narrowKey: string
  readonly up: ScriptedUpstream
  /** Every request that arrived at the gateway, retries of the SDK among them. */
  readonly arrivals: readonly string[]
  /** The rows of all calls so far, once there are `n`. */
  readonly rows: (n: number) => Promise<readonly LlmCompleted[]>
  /** How many requests `act` makes. */
  readonly requestsOf: (act: () => Promise<unknown>) => Promise<number>
}

/** `config`: what stands in the file beside the usual, or in its place; given the scripted upstream's address where it is a function. */
export async function startSdkBench(
  t: TestContext,
  config: object | ((origin: string) => object) = {},
): Promise<SdkBench> {
  const up = await startUpstream()
  t.after(up.close)
  const narrowKey = mintAgentKey()
  const narrow = { keys: [`sha256:${hashOfKey(narrowKey)}`], models: { allow: ['simulator'] } }
  const gateway = await startTestGateway(t, {
    config: allDoors(
      up.origin,
      { timeoutMs: 1_000 },
      {
        agents: { narrow },
        limits: { bodyBytes: 1_000_000 },
        ...(typeof config === 'function' ? config(up.origin) : config),
      },
    ),
  })
  const arrivals = arrivalsAt(t, gateway.port)
  return {
    url: gateway.url,
    key: gateway.key,
    narrowKey,
    up,
    arrivals,
    rows: async n => completed(await gateway.facts(events => completed(events).length >= n)),
    async requestsOf(act) {
      const before = arrivals.length
      await act()
      return arrivals.length - before
    },
  }
}

const completed = (events: readonly Event[]) =>
  events.filter((event): event is Event & LlmCompleted => event.type === 'llm.completed')

/** What the SDK was told of its use, and what the row says: the same, at the simulator's price. */
export function checkRow(
  row: LlmCompleted | undefined,
  expected: Partial<LlmCompleted> & { readonly input_tokens: number; readonly output_tokens: number },
): void {
  assert.partialDeepStrictEqual(row, {
    agent: 'tester',
    model: 'simulator',
    model_requested: 'simulator',
    provider: 'simulator',
    outcome: 'success',
    usage_source: 'provider',
    http_status: 200,
    attempts: 1,
    // Fifty cents and a dollar fifty for a million tokens, in nano-dollars for one.
    cost_nano_usd: expected.input_tokens * 500 + expected.output_tokens * 1_500,
    ...expected,
  })
}

/** The weather of a place: a tool whose arguments the simulator can make up. */
export const weather = {
  name: 'get_weather',
  description: 'Tells the weather.',
  schema: {
    type: 'object' as const,
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
}
