import assert from 'node:assert/strict'
import { Agent, request } from 'undici'
import type { Stack } from '../support/stack.ts'

/** Whoever knocks later than this is answered by what was done. A gateway takes some milliseconds, over Kafka too. */
const soonMs = 1_000
/** Enough connections of their own that the kernel gives some of them to each of two gateways. */
const knocks = 16

/** Makes a key and revokes it by the CLI; gives how much later one had to knock, in milliseconds, to be answered so by all. */
export async function keysSeen(stack: Stack): Promise<{ readonly createdMs: number; readonly revokedMs: number }> {
  const made = await stack.cli('keys', 'create', '--agent', 'newcomer')
  assert.equal(made.code, 0, made.stderr)
  const key = made.stdout.trim()
  const createdMs = await allAnswer(stack, key, 200)
  const revoked = await stack.cli('keys', 'revoke', key)
  assert.equal(revoked.code, 0, revoked.stderr)
  return { createdMs, revokedMs: await allAnswer(stack, key, 401) }
}

/** Knocks until every gateway answers so, and goes on for a moment to see that it stays so. */
async function allAnswer(stack: Stack, key: string, status: number): Promise<number> {
  const gateways = stack.processes().filter(({ title }) => title === 'sluice:gateway').length
  const since = performance.now()
  let first: number | null = null
  const slots = new Set<string>()
  for (;;) {
    const startedMs = performance.now() - since
    const answers = await Promise.all(Array.from({ length: knocks }, () => knock(stack, key)))
    for (const { slot } of answers) slots.add(slot)
    const isSo = answers.every(answer => answer.status === status)
    if (!isSo) {
      assert.ok(startedMs < soonMs, `${startedMs.toFixed()} ms later a gateway does not answer ${status} yet`)
      first = null
      slots.clear()
    } else first ??= startedMs
    if (first !== null && slots.size >= gateways) return Math.round(first)
  }
}

/**
 * Over a connection of its own; which gateway it came to stands in the request's id. It asks for what costs a gateway next
 * to nothing, so that a round is short.
 */
async function knock(stack: Stack, key: string): Promise<{ readonly status: number; readonly slot: string }> {
  const network = new Agent({ connections: 1 })
  try {
    const { statusCode, headers, body } = await request(`${stack.told('Gateway')}/v1/models`, {
      dispatcher: network,
      headers: { authorization: `Bearer ${key}` },
    })
    await body.dump()
    const slot = /^req-[0-9a-f]+-(\d+)-/.exec(String(headers['x-sluice-request-id']))?.[1]
    return { status: statusCode, slot: slot ?? '' }
  } finally {
    await network.destroy()
  }
}
