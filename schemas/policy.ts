import { z } from 'zod'
import { breakers, mode } from './breakers.ts'
import { budget } from './budget.ts'
import { span } from './duration.ts'
import { provider, providerName } from './provider.ts'
import { glob, httpUrl, named, secret } from './terms.ts'

/** What `sluice.yaml` may say. Every key is known by name: a mistyped one must not quietly lift a limit. */

const ms = z.number().int().positive().max(2_147_483_647) // the longest that a timer of Node can wait
const count = z.number().int().positive()
const budgets = z.array(budget).default([])
const name = z.string().regex(/^[\w.@:-]{1,128}$/, 'expected a name of letters, digits, dots, dashes')

const target = z.strictObject({
  provider: z.string(),
  /** The name under which this provider knows the model; the requested one where it is left out. */
  model: z.string().min(1).optional(),
  timeoutMs: ms.optional(),
})

/** Waits grow from `baseMs` by doubling, with jitter, up to `maxMs`. `attempts: 1` is no retry. */
const retry = z.strictObject({
  attempts: z.number().int().min(1).max(10).default(3),
  baseMs: ms.default(200),
  maxMs: ms.default(5000),
})

export const route = z.strictObject({
  models: z.array(glob).min(1),
  targets: z.array(target.extend({ weight: z.number().positive().default(1) })).min(1),
  /** Tried in order once the targets are, before the first byte of an answer. */
  fallback: z.array(target).default([]),
  /** A client of ours usually retries by itself: without this table nothing is retried here. */
  retry: retry.default({ attempts: 1, baseMs: 200, maxMs: 5000 }),
  /** Bounds the wait for the upstream's first and for every following byte. */
  timeoutMs: ms.default(120_000),
})
export type Route = z.infer<typeof route>
export type Target = z.infer<typeof target>
/** What holds for a model that no route names. */
export const unrouted = { retry: { attempts: 1, baseMs: 200, maxMs: 5000 }, timeoutMs: 120_000 } as const

/** Default deny once `allow` is present; `deny` wins. */
const access = z.strictObject({ allow: z.array(glob).optional(), deny: z.array(glob).default([]) })
export type Access = z.infer<typeof access>

export const keyHash = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, 'expected "sha256:" and the SHA-256 of the whole key in 64 hex digits')

const agent = z.strictObject({
  team: name.optional(),
  keys: z.array(keyHash).default([]),
  budgets,
  models: access.prefault({}),
  tools: access.prefault({}),
  mayDelegateTo: z.array(name).default([]),
})
export type AgentPolicy = z.infer<typeof agent>

const runDefaults = z.strictObject({
  budgets,
  maxSteps: count.optional(),
  maxDepth: count.optional(),
  maxChildren: count.optional(),
  maxDurationMs: count.optional(),
  idleTimeoutMs: ms.default(1_800_000),
})

const mcpServer = z
  .strictObject({
    url: httpUrl.optional(),
    headers: named(secret),
    command: z.string().min(1).optional(),
    args: z.array(z.string()).default([]),
    env: named(secret),
  })
  .superRefine((server, context) => {
    if ((server.url === undefined) === (server.command === undefined))
      context.addIssue({ code: 'custom', message: 'expected either url or command' })
  })

const guardrail = z.strictObject({
  on: z.array(z.enum(['llm.request', 'llm.response', 'tool.call', 'tool.result'])).min(1),
  detect: z.enum(['injection', 'pii', 'secrets']),
  action: z.enum(['alert', 'redact', 'block']),
  mode: mode.default('enforce'),
})

const webhook = z.strictObject({
  url: httpUrl,
  secret: secret.optional(),
  types: z.array(glob).default(['*']),
})

/** All bounds of the doors. */
const limits = z.strictObject({
  bodyBytes: count.default(32 * 1024 * 1024),
  /** Headers must be whole within this. */
  headersTimeoutMs: ms.default(10_000),
  /** A body must move at least this often. */
  bodyIdleTimeoutMs: ms.default(15_000),
  /** More than these at once are refused as `overloaded`. */
  callsInFlight: count.default(4096),
  /** What waits on this disk for a log that is away; then `log_unavailable`. */
  spoolBytes: count.default(10 * 1024 ** 3),
})

const sections = {
  providers: named(provider, providerName),
  routes: z.array(route).default([]),
  /** What all teams and agents together may spend. */
  org: z.strictObject({ budgets }).prefault({}),
  teams: named(z.strictObject({ budgets }), name),
  agents: named(agent, name),
  runs: z.strictObject({ defaults: runDefaults.prefault({}) }).prefault({}),
  breakers: breakers.prefault({}),
  mcp: z.strictObject({ servers: named(mcpServer, name) }).prefault({}),
  guardrails: z.array(guardrail).default([]),
  /** Redacted before they leave the gateway. */
  payloads: z
    .strictObject({
      capture: z.enum(['none', 'preview', 'full']).default('preview'),
      previewBytes: z
        .number()
        .int()
        .nonnegative()
        .max(1024 ** 2)
        .default(2048),
    })
    .prefault({}),
  alerts: z.strictObject({ webhooks: z.array(webhook).default([]) }).prefault({}),
  /** Where an admission stands before the upstream is called: the page cache, the disk, or all in-sync replicas. */
  durability: z.enum(['spool', 'fsync', 'replicated']).default('spool'),
  /** How long a gateway goes on spending what it holds when the log is away. */
  leases: z.strictObject({ termMs: ms.default(60_000) }).prefault({}),
  /** What is held for a call: the most it can cost (provable), or what such calls have cost (more at once near a cap). */
  holds: z.enum(['bound', 'learned']).default('bound'),
  /** What becomes of a call under a cap whose price nobody knows. */
  unpriced: z.enum(['allow', 'refuse']).default('allow'),
  limits: limits.prefault({}),
  /** How long records stay on the embedded log and rows in ClickHouse. */
  retention: z.strictObject({ log: span.prefault('30d'), rows: span.prefault('90d') }).prefault({}),
} as const

export const policy = z.strictObject(sections)
export type Policy = z.infer<typeof policy>
