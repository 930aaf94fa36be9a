import type { ProtocolName } from '../../../schemas/work.ts'
import { anthropic } from './anthropic.ts'
import { bedrock } from './bedrock.ts'
import { cohere } from './cohere.ts'
import { gemini } from './gemini.ts'
import { openai } from './openai.ts'
import type { Matched, Protocol } from './protocol.ts'

export { anthropic, bedrock, cohere, gemini, openai }

/** Every protocol that the gateway speaks, in the order in which un-prefixed paths are offered to them. */
export const protocols: readonly Protocol[] = [openai, anthropic, gemini, bedrock, cohere]

export type Hit = { readonly protocol: Protocol; readonly matched: Matched }

/**
 * The door at an un-prefixed path. Two vendors have a `GET /v1/models`: it is OpenAI's, unless the request carries an
 * `anthropic-version` header, which Anthropic's SDKs always send.
 */
export function matchRoute(method: string, path: string, anthropicVersion?: string | null): Hit | null {
  if (anthropicVersion) {
    const matched = anthropic.doors.open(method, path)
    if (matched !== null) return { protocol: anthropic, matched }
  }
  for (const protocol of protocols) {
    const matched = protocol.doors.open(method, path)
    if (matched !== null) return { protocol, matched }
  }
  return null
}

const byName = new Map<ProtocolName, Protocol>(protocols.map(protocol => [protocol.name, protocol]))

/** The door at what follows `/{provider}`, in the provider's own protocol. */
export function matchPinned(name: ProtocolName, method: string, path: string): Hit | null {
  const protocol = byName.get(name)
  const matched = protocol?.doors.pinned(method, path) ?? null
  return protocol === undefined || matched === null ? null : { protocol, matched }
}
