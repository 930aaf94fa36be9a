import type { Policy, Route } from '../../../schemas/policy.ts'
import { nearest } from './nearest.ts'
import type { Provider } from './providers.ts'
import type { Credentials } from './resolve.ts'
import { type ConfigText, type Problem, pathText } from './text.ts'
import { vendors } from './vendors.ts'

/** What names in the policy point at. `routes` are those of the file without the targets that nobody can be asked at. */
export type References = {
  readonly routes: Route[]
  readonly problems: readonly Problem[]
  readonly warnings: readonly string[]
}

export function checkReferences(
  given: Policy,
  providers: ReadonlyMap<string, Provider>,
  text: ConfigText,
  credentials: Credentials,
): References {
  const problems: Problem[] = []
  const warnings: string[] = []
  const wrong = (keys: readonly PropertyKey[], message: string) =>
    problems.push({ ...text.place(keys), path: pathText(keys), message })

  /** A known vendor without a key is left out with a warning; a name that nobody knows was mistyped. */
  const there = (keys: readonly PropertyKey[], name: string): boolean => {
    if (providers.has(name)) return true
    if (vendors.some(vendor => vendor.name === name)) {
      if (credentials === 'here')
        warnings.push(
          `${pathText(keys)}: ${name} has no entry under providers and no key in the environment; it is left out`,
        )
      return false
    }
    const near = nearest(name, [...providers.keys()])
    wrong(
      keys,
      `no such provider; ${near === null ? `there is ${[...providers.keys()].join(', ')}` : `did you mean ${near}?`}`,
    )
    return false
  }
  const routes = given.routes.map((route, i) => {
    const targets = route.targets.filter((target, j) => there(['routes', i, 'targets', j, 'provider'], target.provider))
    const fallback = route.fallback.filter((target, j) =>
      there(['routes', i, 'fallback', j, 'provider'], target.provider),
    )
    return { ...route, targets, fallback }
  })

  const owners = new Map<string, string>()
  for (const [name, agent] of given.agents) {
    if (agent.team !== undefined && given.teams.size > 0 && !given.teams.has(agent.team))
      warnings.push(
        `${pathText(['agents', name, 'team'])}: ${agent.team} is not under teams, so it has no budget of its own`,
      )
    agent.keys.forEach((key, i) => {
      const owner = owners.get(key)
      if (owner !== undefined) wrong(['agents', name, 'keys', i], `this key already belongs to agent ${owner}`)
      owners.set(key, name)
    })
  }
  return { routes, problems, warnings }
}
