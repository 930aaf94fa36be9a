import { chat } from './chat.ts'
import { countTokens } from './tokens.ts'
import type { Asked, Wire } from './wire.ts'

/** Mistral's code between a beginning and an end: asked in a body of its own, answered like chat. */
export const fim: Wire = {
  ...chat,
  read: asked => ({
    ...chat.read(asChat(asked)),
    inputTokens: countTokens([asked.body.prompt, asked.body.suffix]),
  }),
  *events(asked, prompt, turn) {
    // Mistral tells its usage unasked, in the last chunk, and no other has a field for it.
    const counted = { ...asked, body: { ...asked.body, stream_options: { include_usage: true } } }
    for (const piece of chat.events(counted, prompt, turn)) yield String(piece).replace(/,"usage":null(?=\}\n\n$)/, '')
  },
}

const asChat = (asked: Asked): Asked => {
  const { prompt, suffix, ...rest } = asked.body
  const messages = [
    { role: 'user', content: prompt },
    { role: 'suffix', content: suffix },
  ]
  return { ...asked, body: { ...rest, messages } }
}
