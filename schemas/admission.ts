import { z } from 'zod'
import { nodeId } from './ledger.ts'
import { ending, llmCall } from './llm.ts'

const count = z.number().int().nonnegative()

/**
 * A call was let through. On durable storage before the upstream is called: a call whose process died is found again by
 * an admission without an ending.
 */
export const admissionGranted = llmCall.extend({
  type: z.literal('admission.granted'),
  /** Upper bounds of what the call can use; held at each cap of its path, unless `data.held` says less. */
  bound_input_tokens: count.optional(),
  bound_output_tokens: count.optional(),
  bound_nano_usd: count.optional(),
  /**
   * The caps at which that much is held, the gateway epoch whose lease it is taken from, what the request was limited to
   * (output tokens for each choice), and what is held instead of the bounds where that was learned from calls before.
   */
  data: z
    .object({
      nodes: z.array(nodeId),
      epoch: z.number().int(),
      limited_to: z.number().int().optional(),
      held: z.object({ input_tokens: count, output_tokens: count, nano_usd: count }).optional(),
    })
    .optional(),
})
export type AdmissionGranted = z.infer<typeof admissionGranted>

/**
 * A call is still open long after it was let through: all that its admission said, told again, so that a restart finds it
 * without reading further back than it may. `latency_ms`: for how long; `response_id`: it goes on in the background.
 */
export const admissionContinued = admissionGranted.extend({
  type: z.literal('admission.continued'),
  latency_ms: z.number().nonnegative().optional(),
  response_id: z.string().optional(),
})
export type AdmissionContinued = z.infer<typeof admissionContinued>

/**
 * A provider billed more than was held for the call: all of it is spent, and a cap may be passed by `beyond_nano_usd`.
 * `holds`: what was too little. `bound`, also where it is not said: what the call could cost at most, which is an alarm.
 * `learned`: what such calls had cost before, which was foreseen; the bound it was within.
 */
export const boundViolated = llmCall.extend({
  type: z.literal('admission.bound_violated'),
  bound_nano_usd: count,
  data: z.object({
    billed_nano_usd: z.number().int(),
    beyond_nano_usd: z.number().int(),
    holds: z.enum(['bound', 'learned']).optional(),
  }),
})

/**
 * A call that went on in the background was ended by another gateway, which has told and booked its end: what was held for
 * it here is settled at the same cost. Told by the gateway that let it through.
 */
export const admissionSettled = llmCall.extend({
  type: z.literal('admission.settled'),
  data: z.object({ cost_nano_usd: z.number().int().nonnegative() }),
})
export type AdmissionSettled = z.infer<typeof admissionSettled>

/** A call was refused; `reason` is the code that the client was told. It is a row of `calls` with outcome `blocked`. */
export const admissionRefused = llmCall.extend(ending.shape).extend({ type: z.literal('admission.refused') })
export type AdmissionRefused = z.infer<typeof admissionRefused>
