/** What a marker in the last user message asks of the simulator; `simulator.ts` says how it is written. */
export type Knobs = {
  readonly delayMs: number
  readonly intervalMs: number
  readonly tokens: number | null
  readonly chunkTokens: number
  readonly say: string | null
  readonly status: number | null
  readonly retryAfterS: number | null
  readonly usage: boolean
  readonly inputTokens: number | null
  readonly cachedTokens: number
  readonly reasoningTokens: number
  /** After so many chunks: the connection breaks, nothing more comes, or the protocol's error event comes. */
  readonly cutAfter: number | null
  readonly stallAfter: number | null
  readonly errorAfter: number | null
  /** Tool calls, turn by turn. */
  readonly rounds: readonly (readonly Wish[])[]
}
export type Wish = { readonly tool: string; readonly args: unknown }

/** 10,000 tokens are a long answer; a demo needs no more, and a wrong knob must not fill the memory. */
const MOST_TOKENS = 10_000
/** Ten minutes: longer than any timeout that is worth trying. */
const LONGEST_MS = 600_000
/** A loop of 1,000 turns is beyond every breaker. */
const MOST_ROUNDS = 1_000
const MOST_STATED_TOKENS = 10_000_000

export const knobsIn = (userText: string): Knobs => {
  const markers = markersIn(userText)
  const settings = new Map(markers.flatMap(marker => [...marker.settings]))
  const whole = (key: string, most: number): number | null => {
    const value = Number.parseInt(settings.get(key) ?? '', 10)
    return Number.isNaN(value) ? null : Math.min(Math.max(value, 0), most)
  }
  const status = whole('status', 599)
  return {
    delayMs: whole('delay', LONGEST_MS) ?? 0,
    intervalMs: whole('interval', LONGEST_MS) ?? 0,
    tokens: whole('tokens', MOST_TOKENS),
    chunkTokens: Math.max(whole('chunk', MOST_TOKENS) ?? 1, 1),
    say: settings.get('say') ?? null,
    status: status !== null && status >= 400 ? status : null,
    retryAfterS: whole('retry-after', 3_600),
    usage: settings.get('usage') !== 'none',
    inputTokens: whole('input', MOST_STATED_TOKENS),
    cachedTokens: whole('cached', MOST_STATED_TOKENS) ?? 0,
    reasoningTokens: whole('reasoning', MOST_STATED_TOKENS) ?? 0,
    cutAfter: whole('cut', MOST_TOKENS),
    stallAfter: whole('stall', MOST_TOKENS),
    errorAfter: whole('error', MOST_TOKENS),
    rounds: roundsOf(markers),
  }
}

/** The markers of a text alone, as they stood. */
export const markersOf = (text: string): string =>
  markersIn(text)
    .map(marker => text.slice(...marker.span))
    .join('')

const roundsOf = (markers: readonly Marker[]): readonly (readonly Wish[])[] => {
  const rounds: Wish[][] = []
  for (const { settings } of markers) {
    const tool = settings.get('tool')
    if (tool === undefined) continue
    const wish = { tool, args: parsed(settings.get('args')) }
    const current = rounds.at(-1)
    if (current === undefined || settings.has('then')) rounds.push([wish])
    else current.push(wish)
    const repeats = Math.min(Number.parseInt(settings.get('repeat') ?? '1', 10) || 1, MOST_ROUNDS)
    for (let i = 1; i < repeats && rounds.length < MOST_ROUNDS; i++) rounds.push([...(rounds.at(-1) ?? [])])
  }
  return rounds
}

const parsed = (json: string | undefined): unknown => {
  if (json === undefined) return undefined
  try {
    return JSON.parse(json)
  } catch {
    // Arguments that are no JSON are what a careless model sends, too: they go out as they stand.
    return json
  }
}

type Marker = { readonly span: readonly [number, number]; readonly settings: ReadonlyMap<string, string> }

const markersIn = (text: string): readonly Marker[] => {
  const markers: Marker[] = []
  for (let at = text.indexOf('[['); at >= 0; at = text.indexOf('[[', at)) {
    const marker = markerAt(text, at)
    if (marker === null) at += 2
    else {
      if (marker.settings.size > 0) markers.push(marker)
      at = marker.span[1]
    }
  }
  return markers
}

/** `[[key=value key={"json": 1} flag]]`; null where the brackets are something else. */
const markerAt = (text: string, start: number): Marker | null => {
  const settings = new Map<string, string>()
  const key = /\s*([a-z-]+)(=?)|\s*\]\]/y
  let at = start + 2
  for (;;) {
    key.lastIndex = at
    const match = key.exec(text)
    if (match === null) return null
    at = key.lastIndex
    const name = match[1]
    if (name === undefined) return { span: [start, at], settings }
    if (match[2] === '') {
      settings.set(name, '')
      continue
    }
    const end = valueEnd(text, at)
    const value = text.slice(at, end)
    settings.set(name, value.startsWith('"') ? String(parsed(value)) : value)
    at = end
  }
}

/** Values end at white space or `]]`, but a JSON value ends where its last bracket or quote closes. */
const valueEnd = (text: string, start: number): number => {
  const json = '{["'.includes(text.charAt(start) || ' ')
  let depth = 0
  let quoted = false
  for (let at = start; at < text.length; at++) {
    const char = text.charAt(at)
    if (!json && (/\s/.test(char) || text.startsWith(']]', at))) return at
    if (!json) continue
    if (quoted && char === '\\') at++
    else if (char === '"') quoted = !quoted
    else if (!quoted && (char === '{' || char === '[')) depth++
    else if (!quoted && (char === '}' || char === ']')) depth--
    if (depth === 0 && !quoted) return at + 1
  }
  return text.length
}

/** `call weather` asks for a tool in words; the name counts only where it is offered. */
export const toolNamed = (userText: string, offered: readonly string[]): string | null => {
  for (const match of userText.matchAll(/\bcall\s+(?:the\s+)?(?:tool\s+)?[`'"]?([\w.-]*[\w-])/gi))
    if (match[1] !== undefined && offered.includes(match[1])) return match[1]
  return null
}
