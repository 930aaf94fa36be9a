/**
 * How agents of different protocols write a step of theirs: what the model said, and what came after it. Sizes are those
 * of small tools; who measures with them says how many bytes that makes.
 */
export type Dialect = {
  readonly name: string
  readonly path: string
  /** The body's member that holds the conversation. */
  readonly list: string
  /** What stands before the first words of a user, in the list. */
  readonly head: readonly unknown[]
  readonly asks: (words: string) => unknown
  /** One step: the model's turn, as it was answered and as it is sent back, and the turn that answers it. */
  readonly step: (n: string, id: string) => readonly [said: unknown, then: unknown]
}

const city = (n: string): string => `Bergen ${n}`
const result = (n: string): string =>
  JSON.stringify({
    city: city(n),
    now: { celsius: 7.5, wind: { speed: 11, from: 'SW' }, sky: 'light rain' },
    next: ['rain', 'rain', 'sleet', 'clear spells'].map((sky, day) => ({ day, sky, celsius: 4 + day })),
    source: 'station 50540, Florida',
  })
const instructions = {
  role: 'system',
  content: 'You answer questions about the weather. Ask the tool before you answer.',
}
const user = (content: string) => ({ role: 'user', content })

const chat = {
  path: '/v1/chat/completions',
  list: 'messages',
  head: [instructions],
  asks: user,
} as const

export const chatWithTools: Dialect = {
  ...chat,
  name: 'OpenAI chat, tools',
  step: (n, id) => {
    const called = { name: 'get_weather', arguments: JSON.stringify({ city: city(n), unit: 'celsius', days: 4 }) }
    return [
      { role: 'assistant', content: null, tool_calls: [{ id: `call_${id}`, type: 'function', function: called }] },
      { role: 'tool', tool_call_id: `call_${id}`, content: result(n) },
    ]
  },
}

export const dialects: readonly Dialect[] = [
  chatWithTools,
  {
    ...chat,
    name: 'OpenAI chat, words alone',
    step: n => [
      { role: 'assistant', content: `In ${city(n)} it rains, at seven degrees, and it will go on raining until noon.` },
      user(`And how will it be on day ${n} after that? Please tell me whether I need an umbrella.`),
    ],
  },
  {
    name: 'OpenAI Responses, tools',
    path: '/v1/responses',
    list: 'input',
    head: [],
    asks: user,
    step: (n, id) => {
      const args = JSON.stringify({ city: city(n), unit: 'celsius', days: 4 })
      const called = { type: 'function_call', id: `fc_${id}`, call_id: `call_${id}`, name: 'get_weather' }
      return [
        { ...called, arguments: args, status: 'completed' },
        { type: 'function_call_output', call_id: `call_${id}`, output: result(n) },
      ]
    },
  },
  {
    name: 'Anthropic, tools',
    path: '/v1/messages',
    list: 'messages',
    head: [],
    asks: user,
    step: (n, id) => [
      {
        role: 'assistant',
        content: [
          {
            type: 'tool_use',
            id: `toolu_${id}`,
            name: 'get_weather',
            input: { city: city(n), unit: 'celsius', days: 4 },
          },
        ],
      },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: `toolu_${id}`, content: result(n) }] },
    ],
  },
  {
    name: 'Gemini, tools without ids',
    path: '/v1beta/models/gemini-2.5-flash:generateContent',
    list: 'contents',
    head: [],
    asks: text => ({ role: 'user', parts: [{ text }] }),
    step: n => [
      { role: 'model', parts: [{ functionCall: { name: 'get_weather', args: { city: city(n), days: 4 } } }] },
      { role: 'user', parts: [{ functionResponse: { name: 'get_weather', response: { result: result(n) } } }] },
    ],
  },
]
