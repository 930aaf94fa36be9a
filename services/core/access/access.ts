import type { Access } from '../../../schemas/policy.ts'
import { matchesAny } from './glob.ts'

/** Whether a name (a model, `<server>.<tool>`) may be used: `deny` wins, and once `allow` is there the rest is denied. */
export const mayUse = (access: Access, name: string): boolean =>
  !matchesAny(access.deny, name) && (access.allow === undefined || matchesAny(access.allow, name))
