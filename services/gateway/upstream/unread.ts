import type { Meter, Reading } from '../protocols/protocol.ts'

/** An answer that passes unread: the passthrough of a path that is no door of ours. */
export function unread(): Meter {
  let outputBytes = 0
  return {
    push(chunk) {
      outputBytes += chunk.length
      return [chunk]
    },
    hasContent: () => false,
    end: whole => ({ rest: [], reading: { ...silent, outputBytes, complete: whole } }),
  }
}

const silent: Reading = {
  model: null,
  responseId: null,
  usage: null,
  extras: {},
  rawUsage: null,
  wireCostUsd: null,
  finishReason: null,
  error: null,
  complete: true,
  queued: false,
  outputBytes: 0,
  estimatedOutputTokens: 0,
  said: [],
}
