import { z } from 'zod'
import { glob, httpUrl, named, secret } from './terms.ts'
import { protocolName } from './work.ts'

/** US dollars per million tokens. What is left out costs what `input` (cache) or `output` (reasoning) costs. */
export const price = z.strictObject({
  input: z.number().nonnegative(),
  output: z.number().nonnegative(),
  cacheRead: z.number().nonnegative().optional(),
  cacheWrite: z.number().nonnegative().optional(),
})
export type Price = z.infer<typeof price>

/** Names that are doors of the gateway and so cannot be a provider's first path segment. */
const doors = ['v1', 'v1beta', 'v2', 'model', 'mcp', 'a2a', 'oauth', 'admin', 'health', 'ready', 'metrics']

export const providerName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'expected a lower-case name of letters, digits, dots and dashes')
  .refine(name => !doors.includes(name), 'is a path of the gateway itself; choose another name')
  .refine(name => name !== 'simulator', 'is built in and needs no entry; choose another name')

/**
 * One upstream, as the file tells it. `protocol` and `baseUrl` may be left out where the name is a known vendor's.
 */
export const provider = z.strictObject({
  protocol: protocolName.extract(['openai', 'anthropic', 'gemini', 'bedrock', 'cohere']).optional(),
  baseUrl: httpUrl.optional(),
  apiKey: secret.optional(),
  region: z.string().min(1).optional(),
  /** Sent upstream with every request, beside the credential. */
  headers: named(secret),
  /** The models this provider is asked for where no route names them. */
  models: z.array(glob).optional(),
  prices: named(price),
  /** `POST /v1/files`: paths outside the known routes that pass and are recorded without usage. */
  passthrough: z
    .array(
      z.string().regex(/^(GET|POST|PUT|PATCH|DELETE) \/\S*$/, 'expected a method and a path such as "POST /v1/files"'),
    )
    .default([]),
})
export type ProviderEntry = z.infer<typeof provider>
