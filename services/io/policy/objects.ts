import { z } from 'zod'
import { type AgentPolicy, type Policy, policy } from '../../../schemas/policy.ts'
import { versionOf } from './version.ts'

/**
 * The policy in pieces: what `sluice apply` publishes, each under an id of its own. What a process needs to reach others
 * (providers, MCP servers, webhooks: all with credentials) and how it runs itself (limits, durability, leases, retention)
 * are none of these; they stay in the file of each process.
 */
export type PolicyObjects = ReadonlyMap<string, unknown>

/** An object by itself, and tables whose entries are objects by name. */
const singles = ['org', 'runs', 'breakers', 'routes', 'guardrails', 'payloads', 'unpriced'] as const
const tables = { agent: 'agents', team: 'teams' } as const
type Single = (typeof singles)[number]
type Table = (typeof tables)[keyof typeof tables]
export type AppliedPolicy = Pick<Policy, Single | Table>

/** `document` is what the file says, checked, in its own words. What it leaves out is no object. */
export function objectsOf(document: unknown): PolicyObjects {
  const said = record(document)
  const named = Object.entries(tables).flatMap(([kind, table]) =>
    Object.entries(record(said[table])).map(([name, value]) => [`${kind}:${name}`, value] as const),
  )
  const alone = singles.flatMap(name => (said[name] === undefined ? [] : [[name, said[name]] as const]))
  return new Map([...named, ...alone])
}

/** An object as it is decided by; `unreadable` says why it cannot be. */
export type PolicyPart =
  | { readonly kind: 'agent'; readonly name: string; readonly agent: AgentPolicy }
  | { readonly kind: 'team'; readonly name: string; readonly team: TeamPolicy }
  | { readonly kind: 'section'; readonly section: Partial<AppliedPolicy> }
  | { readonly kind: 'unreadable'; readonly why: string }
type TeamPolicy = Policy['teams'] extends ReadonlyMap<string, infer Team> ? Team : never

export function partOf(id: string, value: unknown): PolicyPart {
  const colon = id.indexOf(':')
  const [kind, name] = colon < 0 ? [id, ''] : [id.slice(0, colon), id.slice(colon + 1)]
  if (colon >= 0) {
    if (kind === 'agent') {
      const read = policy.shape.agents.safeParse({ [name]: value })
      const agent = read.data?.get(name)
      return agent === undefined ? unreadable(read.error) : { kind, name, agent }
    }
    if (kind === 'team') {
      const read = policy.shape.teams.safeParse({ [name]: value })
      const team = read.data?.get(name)
      return team === undefined ? unreadable(read.error) : { kind, name, team }
    }
  }
  const single = singles.find(single => single === id)
  if (single === undefined) return { kind: 'unreadable', why: `there is no object ${id}` }
  const schema: z.ZodType = sections.shape[single]
  const read = schema.safeParse(value)
  return read.success
    ? { kind: 'section', section: { [single]: read.data } as Partial<AppliedPolicy> } // one member, named so
    : unreadable(read.error)
}

const sections = policy.pick({
  org: true,
  runs: true,
  breakers: true,
  routes: true,
  guardrails: true,
  payloads: true,
  unpriced: true,
})
const unreadable = (error: z.ZodError | undefined): PolicyPart => ({
  kind: 'unreadable',
  why: error === undefined ? 'its name cannot be used' : z.prettifyError(error),
})

/** The policy of these parts; what they leave out has its defaults. */
export function policyOf(parts: Iterable<PolicyPart>): AppliedPolicy {
  const agents = new Map<string, AgentPolicy>()
  const teams = new Map<string, TeamPolicy>()
  let rest = sections.parse({})
  for (const part of parts) {
    if (part.kind === 'agent') agents.set(part.name, part.agent)
    if (part.kind === 'team') teams.set(part.name, part.team)
    if (part.kind === 'section') rest = { ...rest, ...part.section }
  }
  return { ...rest, agents, teams }
}

/** What is wrong with objects that did not come from a file; a sentence each. */
export function problemsIn(objects: PolicyObjects): readonly string[] {
  const problems: string[] = []
  const owners = new Map<string, string>()
  for (const [id, value] of objects) {
    const part = partOf(id, value)
    if (part.kind === 'unreadable') problems.push(`${id}: ${part.why}`)
    if (part.kind !== 'agent') continue
    for (const key of part.agent.keys) {
      const owner = owners.get(key)
      if (owner !== undefined) problems.push(`${id}: a key of it already belongs to agent ${owner}`)
      owners.set(key, part.name)
    }
  }
  return problems
}

export type Versions = ReadonlyMap<string, string>
export const versionsOf = (objects: PolicyObjects): Versions =>
  new Map([...objects].map(([id, value]) => [id, versionOf(value)]))

/** Of the whole: its objects' names and versions, whatever their order. */
export const versionOfAll = (versions: Versions): string =>
  versionOf([...versions].map(([id, version]) => `${id} ${version}`).sort())

export type Change = { readonly object: string; readonly change: 'added' | 'changed' | 'removed' }

/** In the order of names. */
export function changesBetween(before: Versions, after: Versions): readonly Change[] {
  const changes: Change[] = []
  for (const [object, version] of after)
    if (before.get(object) !== version) changes.push({ object, change: before.has(object) ? 'changed' : 'added' })
  for (const object of before.keys()) if (!after.has(object)) changes.push({ object, change: 'removed' })
  return changes.sort((a, b) => (a.object < b.object ? -1 : 1))
}

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
