import net from 'node:net'
import { Fault } from '../io/fault.ts'

/** A door that a role will open, and the variable by which it can be moved. */
export type Door = { readonly variable: string; readonly host: string; readonly port: number }

/**
 * Looks whether each door can be opened, before anything is started, and gives the ports; for port 0 one that is free.
 * Gateways that share a port would not notice a stranger on it. Throws the Fault `port_taken`.
 */
export async function checkDoors(doors: readonly Door[]): Promise<readonly number[]> {
  const opened = await Promise.allSettled(doors.map(open))
  const servers = opened.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
  const ports = servers.map(server => (server.address() as net.AddressInfo).port) // listening on TCP, so it is one
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  const failed = opened.find(result => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return ports
}

function open({ variable, host, port }: Door): Promise<net.Server> {
  const server = net.createServer()
  return new Promise((resolve, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => reject(faultOf(error, variable, host, port)))
    server.listen({ host, port, exclusive: true }, () => resolve(server))
  })
}

function faultOf(error: NodeJS.ErrnoException, variable: string, host: string, port: number): Fault {
  switch (error.code) {
    case 'EADDRINUSE':
      return new Fault(
        'port_taken',
        `Port ${port} on ${host} is taken by another program; stop it or set ${variable} to another port.`,
      )
    case 'EACCES':
      return new Fault(
        'port_taken',
        `Port ${port} on ${host} may not be opened by this user; set ${variable} to one above 1023.`,
      )
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new Fault('port_taken', `${host} is not an address of this machine; set SLUICE_HOST to one that is.`)
    default:
      return new Fault('port_taken', `Port ${port} on ${host} cannot be opened: ${error.message}.`, { cause: error })
  }
}
