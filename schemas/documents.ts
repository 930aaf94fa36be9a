import { z } from 'zod'
import { alert } from './alert.ts'
import { policyFact } from './config-fact.ts'
import { header } from './envelope.ts'
import { fact } from './events.ts'
import { keyFact } from './key.ts'
import { signerFact } from './signer.ts'
import { signal } from './stop.ts'
import { type TopicSpec, topics } from './topics.ts'

/** The vocabulary for readers outside: JSON Schema of every message, and an AsyncAPI 3 document of the topics. */

type Json = { readonly [name: string]: unknown }

/** Every message by its CloudEvents type: what stands in a record's value. */
export function messageSchemas(): ReadonlyMap<string, Json> {
  const facts = fact.options.flatMap(option => typesOf(option).map(type => [type, bodyOf(option)] as const))
  const keys = keyFact.options.map(option => [option.shape.type.value, bodyOf(option)] as const)
  const signers = signerFact.options.map(option => [option.shape.type.value, bodyOf(option)] as const)
  const policies = policyFact.options.map(option => [option.shape.type.value, bodyOf(option)] as const)
  const alerts = typesOf(alert).map(type => [`alert.${type}`, bodyOf(alert)] as const)
  const signals = typesOf(signal).map(type => [`signal.${type}`, bodyOf(signal)] as const)
  return new Map([...facts, ...keys, ...signers, ...policies, ...alerts, ...signals])
}

/** An AsyncAPI 3.0 document: channels are topics, keys and settings are Kafka bindings. */
export function asyncApi(version: string): Json {
  const schemas = messageSchemas()
  const messages = Object.fromEntries(
    [...schemas].map(([type, payload]) => [
      type,
      {
        name: type,
        contentType: 'application/json',
        headers: { $ref: '#/components/schemas/cloudEventHeaders' },
        payload: { schemaFormat: 'application/schema+json;version=draft-07', schema: payload },
      },
    ]),
  )
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Sluice',
      version,
      description: 'The log of an agent gateway: every fact, decision and alert, as CloudEvents in binary mode.',
      license: { name: 'Apache-2.0' },
    },
    defaultContentType: 'application/json',
    channels: Object.fromEntries(
      Object.entries(topics).map(([name, topic]) => [name, channelOf(topic, typesOn(name, schemas))]),
    ),
    operations: Object.fromEntries(
      Object.keys(topics).map(name => [`read-${name}`, { action: 'receive', channel: { $ref: `#/channels/${name}` } }]),
    ),
    components: { messages, schemas: { cloudEventHeaders } },
  }
}

function channelOf(topic: TopicSpec, types: readonly string[]): Json {
  return {
    address: topic.name,
    description: topic.holds,
    messages: Object.fromEntries(types.map(type => [type, { $ref: `#/components/messages/${type}` }])),
    bindings: {
      kafka: {
        topic: topic.name,
        partitions: topic.partitions,
        topicConfiguration: { 'cleanup.policy': topic.cleanup.split(','), 'retention.ms': topic.retentionMs },
        bindingVersion: '0.5.0',
      },
    },
    'x-key': topic.key,
  }
}

/** Which messages stand on which topic. A topic of later parts has none yet. */
function typesOn(topic: string, schemas: ReadonlyMap<string, Json>): readonly string[] {
  const types = [...schemas.keys()]
  const isConfig = (type: string) => /^(key|signer|policy)\./.test(type)
  const isAlert = (type: string) => type.startsWith('alert.')
  const isSignal = (type: string) => type.startsWith('signal.')
  if (topic === 'config') return types.filter(isConfig)
  if (topic === 'alerts') return types.filter(isAlert)
  if (topic === 'control') return types.filter(isSignal)
  return topic === 'events' ? types.filter(type => !isConfig(type) && !isAlert(type) && !isSignal(type)) : []
}

const cloudEventHeaders: Json = {
  type: 'object',
  required: [header.specversion, header.id, header.type, header.source, header.time],
  properties: {
    [header.specversion]: { const: '1.0' },
    [header.id]: { type: 'string', description: '<producer>.<epoch>.<sequence>' },
    [header.type]: { type: 'string' },
    [header.source]: { type: 'string', format: 'uri-reference' },
    [header.time]: { type: 'string', format: 'date-time' },
    [header.contentType]: { const: 'application/json' },
    [header.previous]: {
      type: 'string',
      description: 'the sequence this producer sent to this partition before, where it is not one less',
    },
  },
}

const typesOf = (schema: {
  readonly shape: { readonly type: z.ZodLiteral<string> | z.ZodEnum }
}): readonly string[] => {
  const { type } = schema.shape
  return type instanceof z.ZodEnum ? type.options.map(String) : [type.value]
}

/** The body without `type`, which travels in a header. */
function bodyOf(schema: z.ZodObject): Json {
  return z.toJSONSchema(schema.omit({ type: true }), { target: 'draft-7', unrepresentable: 'any' })
}
