import { createAnthropic } from '@ai-sdk/anthropic'
import { createGoogleGenerativeAI } from '@ai-sdk/google'
import { createOpenAI } from '@ai-sdk/openai'
import Anthropic from '@anthropic-ai/sdk'
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod'
import { ChatOpenAI } from '@langchain/openai'
import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool as toolOfAgents } from '@openai/agents'
import { generateText, type LanguageModel, stepCountIs, streamText, tool as toolOfAi } from 'ai'
import { createAgent, tool as toolOfLangchain } from 'langchain'
import { z } from 'zod'

/** A framework's own agent loop, as a user of it writes it: nothing of it knows of the gateway but address and key. */
export type AgentUnderTest = {
  readonly name: string
  /** Gives the agent's last words; `streamed` by its streaming door. */
  readonly whole: (at: Door, prompt: string) => Promise<string>
  readonly streamed: (at: Door, prompt: string) => Promise<string>
}
export type Door = { readonly url: string; readonly key: string }

const city = z.object({ city: z.string() })
const booking = z.object({ hotel: z.string(), nights: z.number() })
const weather = { name: 'get_weather', description: 'Tells the weather.' }
const hotels = { name: 'find_hotel', description: 'Finds a hotel.' }
const book = { name: 'book_hotel', description: 'Books a hotel.' }
const tellWeather = (asked: z.infer<typeof city>) => `rain in ${asked.city}`
const findHotel = (asked: z.infer<typeof city>) => JSON.stringify({ hotel: `Grand ${asked.city}`, free: true })
const bookHotel = ({ hotel, nights }: z.infer<typeof booking>) => `${hotel} for ${nights} nights`

const instructions = 'You plan journeys.'
/** More than the task takes, so that a loop that does not end fails and does not hang. */
const maxTurns = 8

const ai = (name: string, model: (at: Door) => LanguageModel): AgentUnderTest => {
  const options = (at: Door, prompt: string) => ({
    model: model(at),
    system: instructions,
    prompt,
    tools: {
      get_weather: toolOfAi({ description: weather.description, inputSchema: city, execute: tellWeather }),
      find_hotel: toolOfAi({ description: hotels.description, inputSchema: city, execute: findHotel }),
      book_hotel: toolOfAi({ description: book.description, inputSchema: booking, execute: bookHotel }),
    },
    stopWhen: stepCountIs(maxTurns),
    maxOutputTokens: 1_000,
  })
  return {
    name: `ai-${name}`,
    whole: async (at, prompt) => (await generateText(options(at, prompt))).text,
    streamed: async (at, prompt) => streamText(options(at, prompt)).text,
  }
}

const openaiAgents = (name: string, useResponses: boolean): AgentUnderTest => {
  // It would send each trace to its maker.
  setTracingDisabled(true)
  const agent = new Agent({
    name: 'Traveller',
    instructions,
    model: 'simulator',
    tools: [
      toolOfAgents({ ...weather, parameters: city, execute: tellWeather }),
      toolOfAgents({ ...hotels, parameters: city, execute: findHotel }),
      toolOfAgents({ ...book, parameters: booking, execute: bookHotel }),
    ],
  })
  const runner = ({ url, key }: Door) =>
    new Runner({ modelProvider: new OpenAIProvider({ apiKey: key, baseURL: `${url}/v1`, useResponses }) })
  return {
    name: `openai-agents-${name}`,
    whole: async (at, prompt) => (await runner(at).run(agent, prompt, { maxTurns })).finalOutput ?? '',
    async streamed(at, prompt) {
      const result = await runner(at).run(agent, prompt, { maxTurns, stream: true })
      await result.completed
      return result.finalOutput ?? ''
    },
  }
}

const langchain = (name: string, useResponsesApi: boolean): AgentUnderTest => {
  const agent = ({ url, key }: Door) =>
    createAgent({
      model: new ChatOpenAI({
        model: 'simulator',
        apiKey: key,
        configuration: { baseURL: `${url}/v1` },
        useResponsesApi,
      }),
      systemPrompt: instructions,
      tools: [
        toolOfLangchain(tellWeather, { ...weather, schema: city }),
        toolOfLangchain(findHotel, { ...hotels, schema: city }),
        toolOfLangchain(bookHotel, { ...book, schema: booking }),
      ],
    })
  const input = (prompt: string) => ({ messages: [{ role: 'user', content: prompt }] })
  const recursionLimit = maxTurns * 2
  return {
    name: `langchain-${name}`,
    whole: async (at, prompt) =>
      (await agent(at).invoke(input(prompt), { recursionLimit })).messages.at(-1)?.text ?? '',
    async streamed(at, prompt) {
      let text = ''
      // Not by the model's `streaming`: it counts tokens with a list that it fetches from the web.
      for await (const [piece] of await agent(at).stream(input(prompt), { recursionLimit, streamMode: 'messages' }))
        if (piece.type === 'ai') text += piece.text
      return text
    },
  }
}

const toolRunner = (): AgentUnderTest => {
  const ask = (prompt: string) => ({
    model: 'simulator',
    max_tokens: 1_000,
    system: instructions,
    messages: [{ role: 'user' as const, content: prompt }],
    tools: [
      betaZodTool({ ...weather, inputSchema: city, run: tellWeather }),
      betaZodTool({ ...hotels, inputSchema: city, run: findHotel }),
      betaZodTool({ ...book, inputSchema: booking, run: bookHotel }),
    ],
    max_iterations: maxTurns,
    // The history goes along: by default its server keeps it, and the simulator keeps nothing.
    thread: false as const,
  })
  const client = ({ url, key }: Door) => new Anthropic({ apiKey: key, baseURL: url })
  const words = (message: Anthropic.Beta.BetaMessage) =>
    message.content.map(block => (block.type === 'text' ? block.text : '')).join('')
  return {
    name: 'anthropic-tool-runner',
    whole: async (at, prompt) => words(await client(at).beta.messages.toolRunner(ask(prompt))),
    async streamed(at, prompt) {
      let text = ''
      for await (const stream of client(at).beta.messages.toolRunner({ ...ask(prompt), stream: true }))
        text = words(await stream.finalMessage())
      return text
    },
  }
}

const openai = ({ url, key }: Door) => createOpenAI({ apiKey: key, baseURL: `${url}/v1` })

export const agents: readonly AgentUnderTest[] = [
  ai('chat', at => openai(at).chat('simulator')),
  ai('responses', at => openai(at).responses('simulator')),
  ai('anthropic', ({ url, key }) => createAnthropic({ apiKey: key, baseURL: `${url}/v1` })('simulator')),
  ai('gemini', ({ url, key }) => createGoogleGenerativeAI({ apiKey: key, baseURL: `${url}/v1beta` })('simulator')),
  openaiAgents('chat', false),
  openaiAgents('responses', true),
  langchain('chat', false),
  langchain('responses', true),
  toolRunner(),
]
