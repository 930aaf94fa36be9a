import pino from 'pino'
import { startWarehouse } from '../../services/warehouse/warehouse.ts'

/** The child of `test/support/warehouse.ts`: one warehouse, told what to do and stopped by messages. */
type Order = {
  readonly dataDir: string
  readonly port: number
  readonly users: { readonly sluice: string; readonly analyst: string }
  readonly analystLimits?: Parameters<typeof startWarehouse>[0]['analystLimits']
}

process.once('message', async message => {
  // Only our own parent holds the other end of this channel.
  const order = message as Order
  const log = pino({ level: process.env['WAREHOUSE_LOG'] ?? 'warn' })
  try {
    const warehouse = await startWarehouse({ ...order, host: '127.0.0.1', log })
    const stop = async () => {
      await warehouse.close()
      process.exit(0)
    }
    process.once('SIGTERM', stop)
    process.once('disconnect', stop)
    process.send?.({ url: warehouse.url })
  } catch (error) {
    process.send?.({ error: String(error) }, () => process.exit(1))
  }
})
