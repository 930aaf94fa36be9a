import { controlKey, type MoneyDecision, moneyDecision } from './control.ts'
import { type Envelope, header } from './envelope.ts'
import { encode, type Message } from './events.ts'
import { type LedgerMessage, ledgerMessage } from './ledger.ts'

/**
 * How what is said of money stands on the log. The message itself is `data`; beside it stands, under the names of
 * columns, what an analyst asks for: the node, and its amounts in nano-dollars.
 */
export function encodeLedger(envelope: Envelope, message: LedgerMessage, key: string): Message {
  const { type, ...data } = message
  const event = { ...envelope, type, ...columnsOf(data), data }
  return encode(event, key)
}

/** Keyed so that compaction keeps the last word of each kind at each node. */
export function encodeDecision(envelope: Envelope, decision: MoneyDecision): Message {
  const { type, ...data } = decision
  const event = { ...envelope, type, ...columnsOf(data), data }
  return encode(event, controlKey(decision))
}

/** Null for what is none: another topic's record, or one that was damaged on its way. */
export const decodeLedger = (message: Message): LedgerMessage | null => read(message, ledgerMessage)
/** Null for what is no decision about money: `sluice.control` holds others too. */
export const decodeDecision = (message: Message): MoneyDecision | null => read(message, moneyDecision)

type Amounts = {
  readonly node?: string | undefined
  readonly spent_nano_usd?: number | undefined
  readonly held_nano_usd?: number | undefined
  readonly asked_nano_usd?: number | undefined
  readonly granted_nano_usd?: number | undefined
  readonly limit_nano_usd?: number | undefined
}

function columnsOf(message: object) {
  const said: Amounts = message // each of them is a number wherever it stands
  const bound = said.held_nano_usd ?? said.granted_nano_usd ?? said.asked_nano_usd
  return {
    ...(said.node === undefined ? {} : { scope: said.node }),
    ...(said.spent_nano_usd === undefined ? {} : { cost_nano_usd: said.spent_nano_usd }),
    ...(bound === undefined ? {} : { bound_nano_usd: bound }),
    ...(said.limit_nano_usd === undefined ? {} : { limit_nano_usd: said.limit_nano_usd }),
  }
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
