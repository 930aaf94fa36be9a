import path from 'node:path'
import { openCredentials } from '../../io/keys/credentials.ts'
import { startWarehouse } from '../../warehouse/warehouse.ts'
import type { StartRole } from './role.ts'

export const start: StartRole = async ({ settings, logger }) => {
  const { credentials } = openCredentials(settings)
  const warehouse = await startWarehouse({
    dataDir: path.join(settings.dataDir, 'warehouse'),
    host: '127.0.0.1',
    port: settings.warehousePort,
    users: { sluice: credentials.warehouse.sluice.reveal(), analyst: credentials.warehouse.analyst.reveal() },
    log: logger,
  })
  return { facts: { listening: `127.0.0.1:${warehouse.port}` }, close: () => warehouse.close() }
}
