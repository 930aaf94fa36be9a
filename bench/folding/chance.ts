/** What a fleet says, by a seed: ids, tools, arguments and words. Cheap, because millions of events are made of it. */
export function chanceOf(seed: number) {
  let state = seed >>> 0
  const below = (n: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
  const hex = (length: number): string => {
    let text = ''
    while (text.length < length)
      text += below(2 ** 32)
        .toString(16)
        .padStart(8, '0')
    return text.slice(0, length)
  }
  const words = (count: number): string => {
    let text = vocabulary[below(vocabulary.length)] ?? ''
    for (let n = 1; n < count; n++) text += ` ${vocabulary[below(vocabulary.length)]}`
    return text
  }
  return {
    below,
    hex,
    words,
    tool: (): string => tools[below(tools.length)] ?? '',
    /** Of two kinds, as tools take them: a few values, or a wish in words. */
    arguments: (): object =>
      below(3) === 0
        ? { customer: `c-${hex(8)}`, limit: below(50), question: words(18) }
        : { path: `/repo/src/${hex(6)}/${hex(6)}.ts`, from: below(400), lines: 40 },
  }
}

const tools = ['files.read', 'files.write', 'web.search', 'web.fetch', 'crm.lookup', 'sql.query', 'shell', 'mail.send']

/** So many that two wishes have few of them in common. */
const vocabulary = Array.from(
  { length: 4_000 },
  (_, n) => `${['re', 'un', 'over', 'sub', 'inter'][n % 5]}${n.toString(36)}ing`,
)
