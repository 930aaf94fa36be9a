import type { EventLog } from '../../services/io/log/port.ts'
import { verify } from '../../services/replay/verify/verify.ts'

/** What `sluice verify` finds in an embedded log by itself, without rows and without what an enforcer keeps. */
export const verified = (log: EventLog) =>
  verify({
    log,
    warehouse: null,
    sinkGroup: 'sink',
    owners: 1,
    live: false,
    dense: true,
    policies: new Map(),
    kept: new Map(),
    damage: () => [],
  })
