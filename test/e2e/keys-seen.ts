import assert from 'node:assert/strict'
import { Agent, request } from 'undici'
import type { Stack } from '../support/stack.ts'

/** The promise is a second on a machine of its own; here other suites run beside it. */
const soonMs = 2_000
/** Enough connections of their own that the kernel gives some of them to each of two gateways. */
const knocks = 16

/** Makes a key and revokes it by the CLI; gives how long all gateways took to know of it, in milliseconds. */
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
    } else first ??= performance.now() - since
    if (first !== null && slots.size >= gateways) return Math.round(first)
  }
}

/** Over a connection of its own; which gateway it came to stands in the request's id. */
async function knock(stack: Stack, key: string): Promise<{ readonly status: number; readonly slot: string }> {
  const network = new Agent({ connections: 1 })
  try {
    const { statusCode, headers, body } = await request(`${stack.told('Gateway')}/v1/chat/completions`, {
      dispatcher: network,
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'simulator', messages: [{ role: 'user', content: 'Hello' }] }),
    })
    await body.dump()
    const slot = /^req-[0-9a-f]+-(\d+)-/.exec(String(headers['x-sluice-request-id']))?.[1]
    return { status: statusCode, slot: slot ?? '' }
  } finally {
    await network.destroy()
  }
}
