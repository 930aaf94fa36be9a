import { randomInt } from 'node:crypto'
import net from 'node:net'

/**
 * A free port of 127.0.0.1, below the range from which systems take the ports of outgoing connections: a broker that is
 * restarted must get its port again, and a client that tries to connect meanwhile could otherwise be given that very one.
 */
export async function portNear(not?: number): Promise<number> {
  for (let i = 0; i < 100; i++) {
    const port = randomInt(15_000, 30_000)
    if (port !== not && (await isFree(port))) return port
  }
  throw new Error('no free port was found between 15000 and 30000')
}

export function isFree(port: number): Promise<boolean> {
  const server = net.createServer()
  return new Promise(resolve => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
