import type { IncomingMessage, ServerResponse } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { z } from 'zod'
import type { AgentCalled, AgentReturned } from '../../../schemas/agent.ts'
import type { Fact } from '../../../schemas/events.ts'
import { type Reported, type ReportResult, reported } from '../../../schemas/reported.ts'
import type { ToolCalled, ToolReturned } from '../../../schemas/tool.ts'
import type { Work } from '../../../schemas/work.ts'
import { isRunId, type RunClaim, told } from '../../core/conversation/lineage.ts'
import { defined } from '../../core/defined.ts'
import { canonicalText } from '../../core/wire/canonical.ts'
import { Fault, textOf } from '../../io/fault.ts'
import { HttpCaller } from '../caller.ts'
import type { Identity } from '../identity/identity.ts'
import { chainOf, strayed, toldUnder } from '../identity/under-token.ts'
import type { Pipeline } from '../parts.ts'
import type { Refusal } from '../protocols/protocol.ts'
import { openai } from '../protocols/protocols.ts'
import { refusals } from '../refusals.ts'
import { refusalAnswer } from '../refuse.ts'
import { place } from '../runs/leave.ts'
import type { Run } from '../runs/runs.ts'
import { type Payloads, shownArgs, shownResult } from '../runs/tools.ts'
import { scopeOf } from './memory.ts'

/** Items of one request. An agent that has more sends more requests. */
const maxItems = 10_000

/** `POST /v1/events`: a JSON array or object, or NDJSON, gzipped or not. Answers what became of each item. */
export async function serveReports(pipeline: Pipeline, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const caller = new HttpCaller(req, res)
  const requestId = pipeline.mintRequestId()
  const no = (refusal: Parameters<typeof refusalAnswer>[2]) => {
    pipeline.metrics.refused(refusal.code, null)
    refusalAnswer(caller, openai, refusal, ['x-sluice-request-id', requestId])
  }
  const who = pipeline.identities.of(req.headers, (req.url ?? '').split('?')[1] ?? '')
  if (who === null) return no(refusals.unauthenticated())
  const body = await pipeline.bodies.read(req)
  if (body === 'cut') return
  if (body === 'too_large') return no(refusals.tooLarge(pipeline.limits.bodyBytes))
  if (body === 'too_slow') return no(refusals.tooSlow(pipeline.limits.bodyIdleTimeoutMs))
  const items = itemsOf(body, req.headers['content-encoding'] === 'gzip', pipeline.limits.bodyBytes)
  if ('unreadable' in items) return no(refusals.invalid(items.unreadable))

  const headers = told(req.headers)
  const sameRun: { claim: RunClaim | null } = { claim: headers.claim }
  const results = await Promise.all(
    items.map((item, index) => take(pipeline, who, item, index, sameRun, headers.parentRunId)),
  )
  const taken = results.filter(result => result.status === 'taken').length
  const refused = results.filter(result => result.status === 'refused').length
  const unavailable = results.length > 0 && results.every(result => result.reason === 'log_unavailable')
  if (unavailable) return no(refusals.logUnavailable())
  const answer = { taken, duplicates: results.length - taken - refused, refused, results }
  caller.answer(
    refused === 0 ? 200 : taken === 0 && refused === results.length ? 400 : 207,
    ['content-type', 'application/json', 'x-sluice-request-id', requestId],
    Buffer.from(JSON.stringify(answer)),
  )
}

/** The items, or one null for each line that is no JSON: it is refused by itself. */
function itemsOf(
  body: Buffer,
  gzipped: boolean,
  maxBytes: number,
): readonly unknown[] | { readonly unreadable: string } {
  try {
    const text = (gzipped ? gunzipSync(body, { maxOutputLength: maxBytes }) : body).toString('utf8').trim()
    const items = text.startsWith('[') ? (JSON.parse(text) as unknown[]) : text.split(/\r?\n/).filter(Boolean).map(line)
    return items.length <= maxItems ? items : { unreadable: `At most ${maxItems} events in one request.` }
  } catch (error) {
    return { unreadable: `The body is neither a JSON array nor NDJSON: ${textOf(error).slice(0, 200)}` }
  }
}

function line(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

async function take(
  pipeline: Pipeline,
  who: Identity,
  item: unknown,
  index: number,
  sameRun: { claim: RunClaim | null },
  parentRunId: string | null,
): Promise<ReportResult> {
  const parsed = reported.safeParse(item)
  const id = typeof item === 'object' && item !== null && 'id' in item && typeof item.id === 'string' ? item.id : null
  if (!parsed.success) return { index, id, status: 'refused', reason: z.prettifyError(parsed.error) }
  const it = parsed.data
  const run = runOf(pipeline, who, it, sameRun, parentRunId)
  if ('code' in run) return { index, id, status: 'refused', reason: run.code }
  if (!pipeline.reports.first(who.agent, it.id)) return { index, id, status: 'duplicate' }

  const work = workOf(pipeline, who, it, run)
  pipeline.runs.begun(run, work)
  pipeline.runs.ended(run)
  const fact = factOf(it, work, run, pipeline.payloads)
  if (fact === null) return { index, id, status: 'duplicate', run_id: run.id }
  const written = await pipeline.recorder.try(fact, work.root_run_id)
  if (written instanceof Fault) {
    pipeline.reports.forget(who.agent, it.id)
    if (it.type === 'tool.called') run.calls.forget(it.tool_call_id ?? null, it.tool)
    return { index, id, status: 'refused', reason: 'log_unavailable' }
  }
  return { index, id, status: 'taken', run_id: run.id }
}

/** The run it names, the run in which the model asked for this very call, or one for all nameless items of a request. */
function runOf(
  pipeline: Pipeline,
  who: Identity,
  it: Reported,
  sameRun: { claim: RunClaim | null },
  parentRunId: string | null,
): Run | Refusal {
  const scope = scopeOf({ agent: who.agent, key_id: who.keyId })
  const ask = (claim: RunClaim | null) => {
    const told = { scope, claim, parentRunId: it.parent_run_id ?? parentRunId, previousResponseId: null, history: null }
    const found = place(pipeline, who, toldUnder(who, told))
    return 'code' in found ? found : found.run
  }
  if (it.run_id !== undefined && isRunId(it.run_id)) return ask({ runId: it.run_id, source: 'header' })
  const asked =
    'tool_call_id' in it && it.tool_call_id !== undefined ? pipeline.runs.ofCall(scope, it.tool_call_id) : undefined
  if (asked !== undefined) return strayed(who, asked) ?? asked
  const run = ask(sameRun.claim)
  if ('id' in run) sameRun.claim = { runId: run.id, source: sameRun.claim?.source ?? 'new' }
  return run
}

function workOf(pipeline: Pipeline, who: Identity, it: Reported, run: Run): Work {
  const policies = pipeline.policies()
  return {
    agent: who.agent,
    key_id: who.keyId,
    run_id: run.id,
    root_run_id: run.rootId,
    policy_version: policies.version,
    ...chainOf(who),
    ...defined({
      team: policies.teamOf(who.agent),
      user: it.user,
      session_id: it.session_id,
      task: it.task,
      labels: it.labels,
      parent_run_id: run.parentId ?? undefined,
      ancestors: run.ancestors.length === 0 ? undefined : [...run.ancestors],
      depth: run.ancestors.length === 0 ? undefined : run.ancestors.length,
    }),
  }
}

/** Null where the same call was told before, by the conversation itself. */
function factOf(it: Reported, work: Work, run: Run, payloads: Payloads): Fact | null {
  const at = it.time === undefined ? Date.now() : typeof it.time === 'number' ? it.time : Date.parse(it.time)
  switch (it.type) {
    case 'tool.called': {
      const fields = toolFields(it, work, payloads)
      const call = { id: it.tool_call_id ?? null, name: it.tool, args: '', by: 'client' as const }
      return run.calls.call(call, at, fields) ? { type: 'tool.called', ...fields } : null
    }
    case 'tool.returned': {
      const open = run.calls.answer({ id: it.tool_call_id ?? null, name: it.tool, content: '', isError: false })
      const own = toolFields(it, work, payloads)
      const fields: Omit<ToolCalled, 'type'> =
        open === null
          ? own
          : { ...open.about, ...(it.args === undefined ? {} : own), observed: 'reported', data: own.data }
      const returned: ToolReturned = {
        type: 'tool.returned',
        ...fields,
        ...endOf(it, open === null ? null : at - open.at, payloads),
      }
      return returned
    }
    case 'agent.called':
      return { type: 'agent.called', ...agentFields(it, work) }
    case 'agent.returned':
      return { type: 'agent.returned', ...agentFields(it, work), ...endOf(it, null, payloads) }
    default:
      return it satisfies never
  }
}

type ToolItem = Extract<Reported, { readonly tool: string }>
type AgentItem = Extract<Reported, { readonly peer_agent: string }>
type Ended = Extract<Reported, { readonly type: 'tool.returned' | 'agent.returned' }>

const toolFields = (it: ToolItem, work: Work, payloads: Payloads): Omit<ToolCalled, 'type'> => ({
  ...work,
  operation: 'execute_tool',
  tool: it.tool,
  observed: 'reported',
  ...defined({ server: it.server, tool_call_id: it.tool_call_id }),
  ...shownArgs(it.args === undefined ? '{}' : canonicalText(textual(it.args)), payloads),
  data: { reported_id: it.id },
})

const agentFields = (it: AgentItem, work: Work): Omit<AgentCalled | AgentReturned, 'type' | 'outcome'> => ({
  ...work,
  operation: 'invoke_agent',
  peer_agent: it.peer_agent,
  observed: 'reported',
  data: { reported_id: it.id },
})

const endOf = (it: Ended, sinceMs: number | null, payloads: Payloads) => ({
  ...(it.result === undefined ? {} : shownResult(textual(it.result), payloads)),
  outcome: it.is_error === true ? ('error' as const) : ('success' as const),
  ...defined({
    error_type: it.is_error === true ? (it.error_type ?? 'tool_error') : undefined,
    latency_ms: it.latency_ms ?? (sinceMs === null ? undefined : Math.max(0, sinceMs)),
  }),
})

const textual = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
