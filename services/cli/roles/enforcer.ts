import type { StartRole } from './role.ts'

/**
 * No rule is decided beyond a single gateway yet, so there is nothing to read and nothing to write. The role has its name
 * and its process already, for operators name it in their commands.
 */
export const start: StartRole = async () => ({ close: async () => {} })
