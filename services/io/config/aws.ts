import { Secret } from '../../../schemas/secret.ts'
import type { AwsCredentials } from '../aws-signature.ts'
import type { Environment } from './resolve.ts'

/** Keys that requests are signed with; null unless both halves are there. */
export function awsIn(env: Environment): AwsCredentials | null {
  const secret = (name: string): Secret | null => {
    const value = env[name]?.trim()
    return value === undefined || value === '' ? null : new Secret(value)
  }
  const [accessKeyId, secretAccessKey] = [secret('AWS_ACCESS_KEY_ID'), secret('AWS_SECRET_ACCESS_KEY')]
  if (accessKeyId === null || secretAccessKey === null) return null
  return { accessKeyId, secretAccessKey, sessionToken: secret('AWS_SESSION_TOKEN') }
}

/** The region that the entry names, the one in its address, or the environment's. */
export function regionFor(
  entry: { readonly region?: string | undefined; readonly baseUrl?: string | undefined },
  env: Environment,
): string | null {
  const inAddress = /\bbedrock-runtime(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d)\./.exec(entry.baseUrl ?? '')?.[1]
  const inEnvironment = (env['AWS_REGION'] || env['AWS_DEFAULT_REGION'])?.trim()
  return entry.region ?? inAddress ?? (inEnvironment || null)
}
