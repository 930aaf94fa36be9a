import { Buffer } from 'node:buffer'
import type { TestContext } from 'node:test'
import { hashOfKey } from '../../services/io/keys/keys.ts'
import { mintAgentKey } from '../../services/io/keys/mint.ts'
import { type GatewayTestOptions, send, startTestGateway, type TestGateway } from '../support/gateway.ts'

export const accessToken = 'urn:ietf:params:oauth:token-type:access_token'
export const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'

export type Given = {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly json: Readonly<Record<string, unknown>>
  readonly token: string
}

/** One exchange, as a form. */
export async function exchange(
  url: string,
  subject: string,
  fields: Readonly<Record<string, string>> = {},
): Promise<Given> {
  const form = { grant_type: exchangeGrant, subject_token: subject, subject_token_type: accessToken, ...fields }
  return answerOf(
    await send(`${url}/oauth/token`, {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(form).toString(),
    }),
  )
}

export function answerOf({ status, headers, text }: Awaited<ReturnType<typeof send>>): Given {
  const json: Record<string, unknown> = JSON.parse(text)
  return { status, headers, json, token: String(json['access_token']) }
}

export const call = (
  url: string,
  token: string,
  options: { readonly model?: string; readonly headers?: Record<string, string> } = {},
) =>
  send(`${url}/v1/chat/completions`, {
    headers: { authorization: `Bearer ${token}`, ...options.headers },
    body: JSON.stringify({ model: options.model ?? 'simulator', messages: [{ role: 'user', content: 'hi' }] }),
  })

export async function openRun(url: string, key: string, body: object = {}): Promise<string> {
  const answer = await send(`${url}/v1/runs`, {
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  })
  return String(JSON.parse(answer.text).id)
}

/** What the parts of a token say; nobody asks whether it is signed. */
export function partsOf(token: string): {
  readonly header: Record<string, unknown>
  readonly claims: Record<string, unknown>
} {
  const [header = '', claims = ''] = token.split('.')
  return { header: parsed(header), claims: parsed(claims) }
}
const parsed = (part: string): Record<string, unknown> => JSON.parse(Buffer.from(part, 'base64url').toString())

/** `listedKeys`: the tester's, as the policy lists them. */
export type Delegating = TestGateway & { readonly writerKey: string; readonly listedKeys: readonly string[] }

/** A gateway where `tester` may delegate to `writer`, and `writer` to `checker` and back to `tester`. */
export async function startDelegating(t: TestContext, options: GatewayTestOptions = {}): Promise<Delegating> {
  const key = options.key ?? mintAgentKey()
  const writerKey = mintAgentKey()
  const agents = {
    tester: { keys: [`sha256:${hashOfKey(key)}`], mayDelegateTo: ['writer'] },
    writer: {
      keys: [`sha256:${hashOfKey(writerKey)}`],
      models: { allow: ['simulator*'] },
      mayDelegateTo: ['checker', 'tester'],
    },
    checker: {},
  }
  const gateway = await startTestGateway(t, { ...options, key, config: { ...options.config, agents } })
  return { ...gateway, writerKey, listedKeys: agents.tester.keys }
}
