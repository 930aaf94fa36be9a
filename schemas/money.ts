import { controlKey, type MoneyDecision, moneyDecision } from './control.ts'
import { type Envelope, header } from './envelope.ts'
import { type Message, messageOf } from './events.ts'
import { type LedgerMessage, ledgerMessage } from './ledger.ts'

/**
 * How what is said of money stands on the log. The message itself is `data`; beside it stands, under the names of
 * columns, what an analyst asks for: the node, and its amounts in nano-dollars. Reports, of many nodes, are taken apart in
 * SQL.
 */
export const encodeLedger = (envelope: Envelope, message: LedgerMessage, key: string): Message =>
  encodeMoney(envelope, message, key)

/** Keyed so that compaction keeps the last word of each kind at each node. */
export const encodeDecision = (envelope: Envelope, decision: MoneyDecision): Message =>
  encodeMoney(envelope, decision, controlKey(decision))

function encodeMoney(envelope: Envelope, { type, ...data }: LedgerMessage | MoneyDecision, key: string): Message {
  const all: object = data
  const said: Amounts = all // each of them is a number wherever it stands
  return messageOf(
    envelope,
    type,
    key,
    JSON.stringify({
      scope: said.node,
      cost_nano_usd: said.spent_nano_usd,
      bound_nano_usd: said.granted_nano_usd ?? said.asked_nano_usd,
      limit_nano_usd: said.limit_nano_usd,
      data,
    }),
  )
}

/** Null for what is none: another topic's record, or one that was damaged on its way. */
export const decodeLedger = (message: Message): LedgerMessage | null => read(message, ledgerMessage)
/** Null for what is no decision about money: `sluice.control` holds others too. */
export const decodeDecision = (message: Message): MoneyDecision | null => read(message, moneyDecision)

type Amounts = {
  readonly node?: string | undefined
  readonly spent_nano_usd?: number | undefined
  readonly asked_nano_usd?: number | undefined
  readonly granted_nano_usd?: number | undefined
  readonly limit_nano_usd?: number | undefined
}

type Schema<Said> = { readonly safeParse: (value: unknown) => { readonly success: boolean; readonly data?: Said } }

function read<Said>({ headers, value }: Message, schema: Schema<Said>): Said | null {
  try {
    const body: unknown = JSON.parse(value.toString('utf8'))
    if (typeof body !== 'object' || body === null || !('data' in body) || typeof body.data !== 'object') return null
    return schema.safeParse({ ...body.data, type: headers[header.type] }).data ?? null
  } catch {
    return null // not JSON: the sink tells the world of it
  }
}
