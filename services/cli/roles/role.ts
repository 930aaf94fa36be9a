import type { Settings } from '../../io/config/settings.ts'
import type { Logger } from '../../io/logger.ts'
import type { Running } from '../../supervisor/process.ts'

/** What a role is given when it starts. */
export type RoleContext = {
  readonly settings: Settings
  readonly env: Readonly<Record<string, string | undefined>>
  /** Which of several processes of its kind it is, from 0: its partition of the embedded log. */
  readonly slot: number
  readonly logger: Logger
}

export type StartRole = (context: RoleContext) => Promise<Running>

/** The group whose mark says what is in ClickHouse: the embedded log keeps what it has not passed. */
export const sinkGroup = 'sink'
