import { chatWithTools as dialect } from './dialects.ts'

/**
 * An agent at work: it asks, is told to use a tool, sends all that was said with the tool's result, and so on until it is
 * answered in words. Who asks and who answers are processes of their own, so each step has a name that both write in full.
 */

/** The model's turn of this step, as it is answered and as it is sent back. */
export const saidIn = (step: string): unknown => dialect.step(step, step)[0]

/** The bodies of an agent's requests, run after run of so many steps, each of about 700 bytes more than the one before. */
export function* requestsOf(agent: string, model: string, steps: number): Generator<string, never> {
  for (let run = 0; ; run++) yield* requestsIn(`${agent}-${run}`, model, steps)
}

function* requestsIn(run: string, model: string, steps: number): Generator<string> {
  const question = dialect.asks(`Task ${run}: how will the weather be along this way, and what is to be packed for it?`)
  let messages = [...dialect.head, question].map(turn => JSON.stringify(turn)).join()
  for (let i = 1; i <= steps; i++) {
    const step = `${run}.${i}`
    yield `{"model":"${model}","metadata":{"step":"${step}"},"tools":${tools},"max_tokens":1024,"messages":[${messages}]}`
    messages += dialect
      .step(step, step)
      .map(turn => `,${JSON.stringify(turn)}`)
      .join('')
  }
}

/** In a request, where it says which step it is; the provider reads it without parsing the body. */
export const stepIn = (body: string): { readonly step: string; readonly number: number } | null => {
  const step = /"metadata":\{"step":"([^"]+)"\}/.exec(body)?.[1]
  return step === undefined ? null : { step, number: Number(step.slice(step.lastIndexOf('.') + 1)) }
}

const tools = JSON.stringify([
  {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'The weather of a city, now and for some days.',
      parameters: {
        type: 'object',
        properties: { city: { type: 'string' }, unit: { enum: ['celsius', 'fahrenheit'] }, days: { type: 'integer' } },
        required: ['city'],
      },
    },
  },
])
