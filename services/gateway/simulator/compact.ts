import { isRecord, type Json, plainText, records } from './json.ts'
import { responses, responsesTokens, responsesUsage } from './responses.ts'
import { type Asked, CREATED_S, type Wire } from './wire.ts'

/** `/responses/compact`: what the user said, and one item in which the rest is sealed up. */
export const compact: Wire = {
  ...responses,
  read: asked => ({ ...responses.read(asked), tools: [], results: [], format: null, stream: false }),
  body: ({ body }, _prompt, turn) => ({
    id: `resp_${turn.seed}`,
    object: 'response.compaction',
    created_at: CREATED_S,
    output: [
      ...itemsOf(body).map((item, i) => ({
        id: `msg_${turn.seed}${i}`,
        type: 'message',
        status: 'completed',
        role: 'user',
        content: [{ type: 'input_text', text: plainText(item.content) }],
      })),
      { id: `cmp_${turn.seed}`, type: 'compaction', encrypted_content: Buffer.from(turn.text).toString('base64') },
    ],
    usage: turn.usage === null ? null : responsesUsage(turn.usage),
  }),
}

/** `/responses/input_tokens` */
export const responsesCount = ({ body }: Asked): unknown => ({
  object: 'response.input_tokens',
  input_tokens: responsesTokens(body),
})

const itemsOf = (body: Json): readonly Json[] =>
  typeof body.input === 'string'
    ? [{ role: 'user', content: body.input }]
    : records(body.input).filter(item => isRecord(item) && item.role === 'user')
