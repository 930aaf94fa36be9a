import assert from 'node:assert/strict'
import type { DoorSample } from './doors.ts'
import type { SdkBench } from './sdk.ts'
import { until } from './until.ts'
import { honest } from './upstream-lies.ts'
import { fails, neverAnswers, resetsAtOnce } from './upstream-replies.ts'

/** The classes that Stainless generates for every vendor's SDK. */
export type ErrorClasses = Readonly<
  Record<
    | 'APIError'
    | 'AuthenticationError'
    | 'PermissionDeniedError'
    | 'BadRequestError'
    | 'NotFoundError'
    | 'UnprocessableEntityError'
    | 'RateLimitError'
    | 'InternalServerError',
    abstract new (
      ...args: never[]
    ) => Error
  >
>
export type SdkUnderTest = {
  readonly classes: ErrorClasses
  readonly door: DoorSample
  /** One question by a client as it comes out of its box, apart from address and key. */
  readonly ask: (key: string, model: string, content: string) => Promise<unknown>
  /** Our code, where this SDK leaves it. */
  readonly code: (error: unknown) => unknown
  readonly status: (error: unknown) => unknown
  /** Every retry there is, with the seconds that they wait; the SDKs have one maker. */
  readonly thorough?: true
}

type Case = {
  readonly what: string
  readonly key?: string
  readonly model?: string
  readonly content?: string
  readonly class: keyof ErrorClasses
  readonly status: number
  readonly code: string
}

/** What is final comes back once, as the SDK's own class, with our code in it. */
export async function checkFinalErrors(bench: SdkBench, sdk: SdkUnderTest): Promise<void> {
  const cases: readonly Case[] = [
    { what: 'a wrong key', key: 'sk-wrong', class: 'AuthenticationError', status: 401, code: 'unauthenticated' },
    {
      what: 'a model that is not allowed',
      key: bench.narrowKey,
      class: 'PermissionDeniedError',
      status: 403,
      code: 'model_not_allowed',
    },
    { what: 'no model', model: '', class: 'BadRequestError', status: 400, code: 'invalid_request' },
    {
      what: 'too large a body',
      content: 'x'.repeat(2_000_000),
      class: 'APIError',
      status: 413,
      code: 'payload_too_large',
    },
  ]
  for (const { what, key = bench.key, model = 'made-up', content = 'hi', ...expected } of cases) {
    const requests = await bench.requestsOf(() => rejected(what, sdk, () => sdk.ask(key, model, content), expected))
    assert.equal(requests, 1, `${what} was sent ${requests} times`)
  }
  assert.equal(bench.up.arrived.length, 0, 'what was refused went upstream')
}

/** What an upstream refuses reaches the caller as the upstream said it. */
export async function checkUpstreamErrors(bench: SdkBench, sdk: SdkUnderTest): Promise<void> {
  const own = (status: number) => ({
    type: 'error',
    error: { type: 'own_error', message: `own words ${status}`, code: 'own_code' },
  })
  const classes = {
    400: 'BadRequestError',
    401: 'AuthenticationError',
    404: 'NotFoundError',
    422: 'UnprocessableEntityError',
  } as const
  for (const [text, name] of Object.entries(classes)) {
    const status = Number(text)
    bench.up.always(fails(status, own(status)))
    const expected = { class: name, status, code: 'own_code' }
    assert.equal(
      await bench.requestsOf(() => rejected(text, sdk, () => sdk.ask(bench.key, 'made-up', 'hi'), expected)),
      1,
    )
  }
  const rows = await bench.rows(4)
  for (const [i, status] of [400, 401, 404, 422].entries())
    assert.partialDeepStrictEqual(rows[i], {
      outcome: 'error',
      reason: `http_${status}`,
      http_status: status,
      error_type: 'own_error',
    })
}

/** What may go better is tried again by the SDK itself, as it is made, and each try has its row. */
export async function checkRetries(bench: SdkBench, sdk: SdkUnderTest): Promise<void> {
  const ask = () => sdk.ask(bench.key, 'made-up', 'hi')
  const good = honest(sdk.door, false)
  bench.up.always(quickly429)
  assert.equal(
    await bench.requestsOf(() =>
      rejected('a rate limit', sdk, ask, { class: 'RateLimitError', status: 429, code: 'own_code' }),
    ),
    3,
  )
  bench.up.always(good)
  bench.up.next(resetsAtOnce())
  assert.equal(await bench.requestsOf(ask), 2, 'a connection that broke was not tried again')
  if (sdk.thorough === true) {
    bench.up.next(neverAnswers())
    assert.equal(await bench.requestsOf(ask), 2, 'a timeout was not tried again')
  }
  bench.up.always(fails(503, {}))
  const down = { class: 'InternalServerError', status: 502, code: 'upstream_unavailable' } as const
  if (sdk.thorough === true)
    assert.equal(await bench.requestsOf(() => rejected('an upstream that is down', sdk, ask, down)), 3)
  const expected = [
    ...['http_429', 'http_429', 'http_429', 'upstream_reset', 'success'],
    ...(sdk.thorough === true ? ['upstream_timeout', 'success', 'http_503', 'http_503', 'http_503'] : []),
  ]
  const rows = await bench.rows(expected.length)
  assert.deepEqual(
    rows.map(row => row.reason ?? row.outcome),
    expected,
  )
}

const quickly429 = fails(429, { error: { type: 'rate_limit_error', message: 'slowly', code: 'own_code' } }, '0.01')

/** A gateway that has its hands full says so, and the SDK comes again. `bench` may have one call in flight. */
export async function checkOverload(bench: SdkBench, sdk: SdkUnderTest): Promise<void> {
  const { promise: held, resolve: release } = Promise.withResolvers<void>()
  const good = honest(sdk.door, false)
  bench.up.always([{ until: held }, ...good])
  const first = sdk.ask(bench.key, 'made-up', 'hi')
  await bench.up.request(1)
  const second = sdk.ask(bench.key, 'made-up', 'hi')
  await until('the second call', () => bench.arrivals.length === 2)
  release()
  await Promise.all([first, second])
  assert.equal(bench.arrivals.length, 3)
  assert.equal((await bench.rows(2)).length, 2)
}

async function rejected(
  what: string,
  sdk: SdkUnderTest,
  act: () => Promise<unknown>,
  expected: Pick<Case, 'class' | 'status' | 'code'>,
): Promise<void> {
  const error: unknown = await act().then(
    () => assert.fail(`${what} went well`),
    (error: unknown) => error,
  )
  const told = `${what}: ${error}`
  assert.ok(error instanceof sdk.classes[expected.class], told)
  assert.deepEqual([sdk.status(error), sdk.code(error)], [expected.status, expected.code], told)
}
