import { cap } from './cap.ts'
import { failing } from './failing.ts'
import { kill } from './kill.ts'
import { outage } from './outage.ts'
import type { Promised } from './promise.ts'
import { stormy } from './storms.ts'
import { tools } from './tools.ts'
import { verify } from './verify.ts'

/** In the order in which they are shown. */
export const promises: readonly Promised[] = [cap, tools, failing, kill, stormy, outage, verify]
