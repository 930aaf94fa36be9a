import type { ProtocolName } from '../../schemas/work.ts'

/** The list of models in the shape of each protocol's own `GET …/models`. */
export function modelList(protocol: ProtocolName, models: readonly string[]): Buffer {
  return Buffer.from(JSON.stringify(shapes[protocol]?.(models) ?? { data: models }))
}

const shapes: Partial<Record<ProtocolName, (models: readonly string[]) => unknown>> = {
  openai: models => ({
    object: 'list',
    data: models.map(id => ({ id, object: 'model', created: 0, owned_by: 'sluice' })),
  }),
  anthropic: models => ({
    data: models.map(id => ({ type: 'model', id, display_name: id, created_at: '1970-01-01T00:00:00Z' })),
    has_more: false,
    first_id: models[0] ?? null,
    last_id: models.at(-1) ?? null,
  }),
  gemini: models => ({
    models: models.map(id => ({
      name: `models/${id}`,
      displayName: id,
      supportedGenerationMethods: ['generateContent'],
    })),
  }),
}
