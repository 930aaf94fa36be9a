import fs from 'node:fs'
import path from 'node:path'
import packageJson from '../package.json' with { type: 'json' }
import { asyncApi, messageSchemas } from '../schemas/documents.ts'

/** `npm run schemas`: writes the vocabulary for readers outside. A test says when what is committed is stale. */
const dir = path.join(import.meta.dirname, '../schemas/generated')
fs.mkdirSync(dir, { recursive: true })
const write = (name: string, value: unknown) =>
  fs.writeFileSync(path.join(dir, name), `${JSON.stringify(value, null, 2)}\n`)
write('messages.schema.json', {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Values of Sluice records by CloudEvents type',
  definitions: Object.fromEntries(messageSchemas()),
})
write('asyncapi.json', asyncApi(packageJson.version))
