import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { spawnStack, startStack } from '../support/stack.ts'
import { keysSeen } from './keys-seen.ts'

const linux = process.platform !== 'linux' && 'processes are found by /proc'

test('two gateways behind one port know a key as soon as it is made, and forget it when it is revoked', {
  skip: linux,
}, async t => {
  const stack = await startStack({ env: { SLUICE_WORKERS: '2' } })
  t.after(() => stack.close())
  const { createdMs, revokedMs } = await keysSeen(stack)
  t.diagnostic(`known after ${createdMs} ms, revoked after ${revokedMs} ms`)
})

test('a port of the console that is taken is told in a sentence, and another stack has its own', async t => {
  const server = net.createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address() as net.AddressInfo // listening on TCP
  const stack = spawnStack({ env: { SLUICE_CONSOLE_PORT: `${port}` }, roles: ['sink'] })
  t.after(() => stack.close())
  assert.equal(await new Promise(resolve => stack.child.on('exit', resolve)), 1)
  assert.equal(
    stack.stderr(),
    `Port ${port} on 127.0.0.1 is taken by another program; stop it or set SLUICE_CONSOLE_PORT to another port.\n`,
  )
})
