import type { Matched, Route } from './protocol.ts'

/**
 * Finds the door that a path knocks at. A path is taken as it was written: what stands in braces is decoded for us, while
 * the path that goes upstream keeps its bytes.
 */
export type Doors = {
  /** An un-prefixed path: it is the route's, whole. */
  readonly open: (method: string, path: string) => Matched | null
  /** A path behind a provider's name: what stands before the route is the vendor SDK's habit and is dropped. */
  readonly pinned: (method: string, path: string) => Matched | null
}

export type DoorsOptions = {
  /** First segments under which clients write the routes; the first is the one that the routes' paths have. */
  readonly versions: readonly [string, ...string[]]
  /** The version belongs to the provider's `baseUrl`, so it is not part of the path that follows it. */
  readonly versionInBaseUrl: boolean
}

type Pattern = {
  readonly route: Route
  /** Up to the brace, without the version: `/models/`. */
  readonly stem: string
  readonly param: string
  readonly suffixes: readonly string[]
  readonly slashes: boolean
}

export function doorsOf(routes: readonly Route[], options: DoorsOptions): Doors {
  const { versions, versionInBaseUrl } = options
  const [usual] = versions
  const tailOf = (route: Route) => route.path.slice(usual.length)
  const upstream = (version: string, tail: string) => (versionInBaseUrl ? tail : version + tail)

  const fixed = routes.filter(route => !route.path.includes('{'))
  const patterns = routes.filter(route => route.path.includes('{')).map(patternOf)
  const exact = new Map<string, Map<string, Matched>>(routes.map(route => [route.method, new Map()]))
  for (const version of versions)
    for (const route of fixed) {
      const tail = tailOf(route)
      exact.get(route.method)?.set(version + tail, { route, params: {}, upstreamPath: upstream(version, tail) })
    }

  function patternOf(route: Route): Pattern {
    const tail = tailOf(route)
    const [open, close] = [tail.indexOf('{'), tail.indexOf('}')]
    const name = tail.slice(open + 1, close)
    const suffix = tail.slice(close + 1)
    const encoded = suffix.startsWith(':') ? [`%3A${suffix.slice(1)}`, `%3a${suffix.slice(1)}`] : []
    return {
      route,
      stem: tail.slice(0, open),
      param: name.replace('+', ''),
      suffixes: [suffix, ...encoded],
      slashes: name.endsWith('+'),
    }
  }

  /** `stemAt`: where in the path the pattern's stem begins. */
  function fill(pattern: Pattern, path: string, stemAt: number, version: string): Matched | null {
    const from = stemAt + pattern.stem.length
    const suffix = pattern.suffixes.find(suffix => path.endsWith(suffix))
    if (suffix === undefined) return null
    const raw = path.slice(from, path.length - suffix.length)
    if (raw === '' || (!pattern.slashes && raw.includes('/'))) return null
    const value = decoded(raw)
    // `/models/..` would be another path by the time it arrives.
    if (value.split('/').some(segment => segment === '.' || segment === '..')) return null
    return {
      route: pattern.route,
      params: { [pattern.param]: value },
      upstreamPath: upstream(version, path.slice(stemAt)),
    }
  }

  return {
    open(method, path) {
      const found = exact.get(method)?.get(path)
      if (found !== undefined) return found
      for (const pattern of patterns) {
        if (pattern.route.method !== method) continue
        const version = versions.find(version => path.startsWith(version + pattern.stem))
        const matched = version === undefined ? null : fill(pattern, path, version.length, version)
        if (matched !== null) return matched
      }
      return null
    },
    pinned(method, path) {
      const found = exact.get(method)?.get(path)
      if (found !== undefined) return found
      for (const route of fixed) {
        const end = versionInBaseUrl ? tailOf(route) : route.path
        if (route.method !== method || !path.endsWith(end)) continue
        return exact.get(method)?.get(route.path) ?? null
      }
      for (const pattern of patterns) {
        if (pattern.route.method !== method) continue
        const stemAt = path.lastIndexOf(pattern.stem)
        if (stemAt < 0) continue
        const version = versions.find(version => version.length === stemAt && path.startsWith(version)) ?? usual
        const matched = fill(pattern, path, stemAt, version)
        if (matched !== null) return matched
      }
      return null
    },
  }
}

function decoded(raw: string): string {
  if (!raw.includes('%')) return raw
  try {
    return decodeURIComponent(raw)
  } catch {
    return raw
  }
}
