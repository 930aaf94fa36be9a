import type { DoorSample } from './doors.ts'
import {
  badChunk,
  bodyOf,
  halfOf,
  head,
  headWithoutEnd,
  honest,
  inChunk,
  tooLong,
  tooShort,
  typeOf,
  untilClosed,
  verbatim,
  zipped,
} from './upstream-lies.ts'
import {
  answers,
  closesAtOnce,
  fails,
  html,
  hugeHeaders,
  neverAnswers,
  type Reply,
  redirects,
  resetsAtOnce,
  speaksNoHttp,
} from './upstream-replies.ts'

/** What a client hears and what the row says. `passes`: the body as it came (decoded, where a stream was compressed). */
export type Expected =
  | {
      readonly refused: 'upstream_unavailable' | 'upstream_timeout'
      readonly reason: string
      /** Seconds. */
      readonly retryAfter?: number
    }
  | { readonly breaks: 'upstream_unavailable' | 'upstream_timeout'; readonly reason: string }
  | {
      readonly passes: string | Buffer | null
      readonly status?: number
      readonly outcome: string
      readonly reason?: string
    }

export type Evil = {
  readonly what: string
  readonly reply: (door: DoorSample, stream: boolean, elsewhere: string) => Reply
  readonly whole: Expected | ((door: DoorSample) => Expected)
  readonly stream: Expected | ((door: DoorSample) => Expected)
}

const refused = (reason: string): Expected =>
  reason === 'upstream_timeout' ? { refused: 'upstream_timeout', reason } : { refused: 'upstream_unavailable', reason }
const breaks = (reason: string): Expected =>
  reason === 'upstream_timeout' ? { breaks: 'upstream_timeout', reason } : { breaks: 'upstream_unavailable', reason }
const both = (expected: Expected): Pick<Evil, 'whole' | 'stream'> => ({ whole: expected, stream: expected })
const asItShould: Pick<Evil, 'whole' | 'stream'> = {
  whole: door => ({ passes: bodyOf(door, false), outcome: 'success' }),
  stream: door => ({ passes: bodyOf(door, true), outcome: 'success' }),
}
const page = '<!doctype html><title>Welcome</title><p>Log in to the network.'
const brokenText = '{"id":"x","choices":[{"mess'
const brokenEvents = 'data: {"id":"x","choices":[{"del\n\ndata: }{\n\nnonsense without a colon\n\n: a comment\n\n'

/** What upstreams do wrong, each with what becomes of it. */
export const evils: readonly Evil[] = [
  {
    what: 'announces more than it sends',
    reply: (door, stream) => tooLong(door, stream),
    whole: refused('upstream_reset'),
    stream: breaks('upstream_reset'),
  },
  {
    what: 'announces more than it sends and falls silent',
    reply: (door, stream) => tooLong(door, stream, 'hang'),
    whole: refused('upstream_timeout'),
    stream: breaks('upstream_timeout'),
  },
  {
    what: 'announces less than it sends',
    reply: tooShort,
    whole: door => ({ passes: bodyOf(door, false).slice(0, -10), outcome: 'error', reason: 'unreadable_answer' }),
    stream: door => ({ passes: bodyOf(door, true).slice(0, -10), outcome: 'error', reason: 'incomplete_answer' }),
  },
  { what: 'never answers', reply: neverAnswers, ...both(refused('upstream_timeout')) },
  { what: 'sends a head without an end', reply: () => headWithoutEnd(20), ...both(refused('upstream_timeout')) },
  {
    what: 'never ends',
    reply: (door, stream) => halfOf(door, stream, 'hang'),
    whole: refused('upstream_timeout'),
    stream: breaks('upstream_timeout'),
  },
  { what: 'resets at once', reply: resetsAtOnce, ...both(refused('upstream_reset')) },
  { what: 'closes at once', reply: closesAtOnce, ...both(refused('upstream_reset')) },
  { what: 'speaks no HTTP', reply: speaksNoHttp, ...both(refused('upstream_protocol')) },
  {
    what: 'resets in the middle',
    reply: (door, stream) => halfOf(door, stream, 'reset'),
    whole: refused('upstream_reset'),
    stream: breaks('upstream_reset'),
  },
  {
    what: 'closes in the middle',
    reply: (door, stream) => halfOf(door, stream, 'close'),
    whole: refused('upstream_reset'),
    stream: breaks('upstream_reset'),
  },
  {
    what: 'frames a chunk wrongly',
    reply: badChunk,
    whole: refused('upstream_protocol'),
    stream: breaks('upstream_protocol'),
  },
  ...[301, 302, 307, 308, 304].map(status => ({
    what: `redirects with ${status}`,
    reply: (_door: DoorSample, _stream: boolean, elsewhere: string) => redirects(elsewhere, status),
    ...both(refused('upstream_redirect')),
  })),
  {
    what: 'answers broken JSON',
    reply: () => answers(brokenText, { headers: ['content-type', 'application/json'] }),
    whole: { passes: brokenText, outcome: 'error', reason: 'unreadable_answer' },
    stream: { passes: brokenText, outcome: 'error', reason: 'incomplete_answer' },
  },
  {
    what: 'answers broken events',
    reply: () => answers(brokenEvents, { headers: ['content-type', 'text/event-stream'] }),
    ...both({ passes: brokenEvents, outcome: 'error', reason: 'incomplete_answer' }),
  },
  {
    what: 'answers with a web page',
    reply: () => html(),
    whole: { passes: page, outcome: 'error', reason: 'unreadable_answer' },
    stream: { passes: page, outcome: 'error', reason: 'incomplete_answer' },
  },
  {
    what: 'refuses with a web page',
    reply: () => html(404),
    ...both({ passes: page, status: 404, outcome: 'error', reason: 'http_404' }),
  },
  { what: 'fails with a web page', reply: () => html(500), ...both(refused('http_500')) },
  {
    what: 'answers JSON of another kind',
    reply: () => answers('{"pong":true}', { headers: ['content-type', 'application/json'] }),
    whole: { passes: '{"pong":true}', outcome: 'error', reason: 'unreadable_answer' },
    stream: { passes: '{"pong":true}', outcome: 'error', reason: 'incomplete_answer' },
  },
  {
    what: 'answers nothing at all',
    reply: () => answers(''),
    whole: { passes: '', outcome: 'error', reason: 'unreadable_answer' },
    stream: { passes: '', outcome: 'error', reason: 'incomplete_answer' },
  },
  {
    what: 'has no content',
    reply: () => verbatim(head('204 No Content')),
    whole: { passes: '', status: 204, outcome: 'error', reason: 'unreadable_answer' },
    stream: { passes: '', status: 204, outcome: 'error', reason: 'incomplete_answer' },
  },
  {
    what: 'compresses unasked',
    reply: (door, stream) => zipped(door, stream),
    whole: { passes: null, outcome: 'success' },
    stream: door => ({ passes: bodyOf(door, true), outcome: 'success' }),
  },
  {
    what: 'compresses unasked and breaks off',
    reply: (door, stream) => zipped(door, stream, 'cut'),
    whole: { passes: null, outcome: 'error', reason: 'unreadable_answer' },
    stream: breaks('upstream_protocol'),
  },
  {
    what: 'goes on behind the end of what it compressed',
    reply: (door, stream) => zipped(door, stream, 'goesOn'),
    whole: { passes: null, outcome: 'success' },
    stream: door => ({ passes: bodyOf(door, true), outcome: 'success' }),
  },
  {
    what: 'says that it compresses and does not, and never ends',
    reply: (_door, stream) => [
      ...verbatim(
        head('200 OK', typeOf(stream), 'content-encoding: gzip', 'transfer-encoding: chunked'),
        inChunk('no'),
      ),
      { finally: 'hang' },
    ],
    whole: refused('upstream_timeout'),
    stream: breaks('upstream_protocol'),
  },
  { what: 'sends headers beyond measure', reply: () => hugeHeaders(100), ...both(refused('upstream_protocol')) },
  ...[500, 502, 503, 504, 529].map(status => ({
    what: `fails with ${status}`,
    reply: () => fails(status, { error: { message: 'down', type: 'server_error' } }, '3'),
    ...both({ refused: 'upstream_unavailable', reason: `http_${status}`, retryAfter: 3 }),
  })),
  { what: 'ends its answer by closing', reply: untilClosed, ...asItShould },
  {
    what: 'is ready to process first',
    reply: (door, stream) => [
      ...verbatim(head('102 Processing'), head('103 Early Hints', 'link: </x>')),
      ...honest(door, stream),
    ],
    ...asItShould,
  },
  {
    what: 'says 100 to nobody',
    reply: (door, stream) => [...verbatim(head('100 Continue')), ...honest(door, stream)],
    ...both(refused('upstream_reset')),
  },
  {
    what: 'changes the protocol',
    reply: () => verbatim(head('101 Switching Protocols', 'upgrade: websocket', 'connection: upgrade')),
    ...both(refused('upstream_reset')),
  },
  {
    what: 'has a status beyond the range',
    reply: () => verbatim(head('999 Strange', 'content-length: 0')),
    ...both(refused('http_999')),
  },
  {
    what: 'gives two lengths',
    reply: () => verbatim(head('200 OK', 'content-length: 3', 'content-length: 4'), '{"a"'),
    ...both(refused('upstream_protocol')),
  },
  {
    what: 'gives a length and chunks',
    reply: () => verbatim(head('200 OK', 'content-length: 3', 'transfer-encoding: chunked'), '0\r\n\r\n'),
    ...both(refused('upstream_protocol')),
  },
  {
    what: 'sets our own headers',
    reply: (door, stream) =>
      honest(
        door,
        stream,
        'x-sluice-run-id: stolen',
        'x-sluice-cost-usd: 9',
        'set-cookie: a=b',
        'connection: x-secret',
        'x-secret: 1',
      ),
    ...asItShould,
  },
]
