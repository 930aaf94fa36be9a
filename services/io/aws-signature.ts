import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto'
import type { Secret } from '../../schemas/secret.ts'

/** Where AWS's own names put them: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`. */
export type AwsCredentials = {
  readonly accessKeyId: Secret
  readonly secretAccessKey: Secret
  readonly sessionToken: Secret | null
}

export type Signable = {
  readonly method: string
  /** `https://bedrock-runtime.us-east-1.amazonaws.com` */
  readonly origin: string
  /** Path and query, as they go out. */
  readonly path: string
  /** Name, value, name, value. */
  readonly headers: readonly string[]
  readonly body: Buffer | null
}

/**
 * Signs by AWS's Signature Version 4. Gives the headers to send: those that came, and `authorization`, `x-amz-date` and
 * the like. Signed are the host, the content type, and what is AWS's own; the rest may change on its way.
 */
export type Sign = (request: Signable) => Promise<readonly string[]>

export function openSigner(options: {
  readonly credentials: AwsCredentials
  readonly region: string
  readonly service: string
  readonly now?: () => Date
}): Sign {
  const { credentials, region, service } = options
  const now = options.now ?? (() => new Date())
  // Loaded by whoever signs first: for all others it would be 15 MB for nothing.
  let loading: Promise<Signer> | null = null
  const load = async (): Promise<Signer> => {
    const { SignatureV4 } = await import('@smithy/signature-v4')
    return new SignatureV4({
      region,
      service,
      sha256: Sha256,
      credentials: {
        accessKeyId: credentials.accessKeyId.reveal(),
        secretAccessKey: credentials.secretAccessKey.reveal(),
        ...(credentials.sessionToken === null ? {} : { sessionToken: credentials.sessionToken.reveal() }),
      },
    })
  }

  return async request => {
    loading ??= load()
    const signer = await loading
    const signed = await signer.sign(signedPart(request), { signingDate: now() })
    const own = Object.entries(signed.headers).filter(([name]) => name !== 'host')
    const names = new Set(own.map(([name]) => name.toLowerCase()))
    const rest = request.headers.filter((_part, at) => !names.has((request.headers[at - (at % 2)] ?? '').toLowerCase()))
    return [...rest, ...own.flat()]
  }
}

type Signer = {
  readonly sign: (
    request: ReturnType<typeof signedPart>,
    options: { readonly signingDate: Date },
  ) => Promise<{ readonly headers: Readonly<Record<string, string>> }>
}

function signedPart(request: Signable) {
  const url = new URL(request.origin)
  const [path = '/', query = ''] = splitAt(request.path, '?')
  const headers: Record<string, string> = { host: url.host }
  for (let at = 0; at + 1 < request.headers.length; at += 2) {
    const name = (request.headers[at] ?? '').toLowerCase()
    if (/^(content-type|x-amz-.+|x-amzn-bedrock-.+)$/.test(name)) headers[name] = request.headers[at + 1] ?? ''
  }
  return {
    method: request.method,
    protocol: url.protocol,
    hostname: url.hostname,
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    path,
    query: queryOf(query),
    headers,
    body: request.body ?? undefined,
  }
}

function queryOf(query: string): Record<string, string | string[]> {
  const params = new URLSearchParams(query)
  return Object.fromEntries([...new Set(params.keys())].map(name => [name, params.getAll(name)]))
}

function splitAt(text: string, mark: string): readonly string[] {
  const at = text.indexOf(mark)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}

type Bytes = string | ArrayBuffer | ArrayBufferView

/** Node's own hash, in the shape that the signer asks for. */
class Sha256 {
  readonly #hash: Hash | Hmac

  constructor(secret?: Bytes) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret))
  }

  update(data: Bytes): void {
    this.#hash.update(bytesOf(data))
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }

  /** The signer makes a new one for each text. */
  reset(): void {}
}

function bytesOf(data: Bytes): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data)
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data)
}
