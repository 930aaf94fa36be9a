import fs from 'node:fs'

/**
 * An orchestrator with a budget spawns five sub-agents, and each of the six tries to spend all of it. What one of them
 * spends counts for its own run and for the one above it: six times $0.02 is $0.02.
 *
 *     npm start                  in one terminal
 *     node examples/tree.ts      in another; no provider key is needed, the built-in simulator answers
 *
 * `SLUICE_URL` and `SLUICE_KEY` name another gateway and agent. Change `budgetUsd` and it takes longer, that is all.
 */
const budgetUsd = 0.02

const url = process.env['SLUICE_URL'] ?? 'http://127.0.0.1:7070'
const key = process.env['SLUICE_KEY'] ?? firstKey()

/** A sub-agent at work: calls until it is told that there is no money left for it. */
async function work(task: string, run: string): Promise<Spent> {
  let [calls, usd] = [0, 0]
  for (;;) {
    const answer = await post(
      '/v1/chat/completions',
      { 'x-sluice-run-id': run, 'x-sluice-task': task },
      {
        model: 'simulator',
        max_tokens: 500,
        messages: [
          { role: 'user', content: `${task}, part ${calls + 1} [[tokens=${300 + ((calls * 83) % 200)} delay=50]]` },
        ],
      },
    )
    if (answer.ok) {
      calls++
      usd += Number(answer.headers.get('x-sluice-cost-usd'))
      continue
    }
    const { code, message, scope } = await errorOf(answer)
    // The others hold what is left; some of it comes back when their calls have ended.
    if (answer.status === 429) await new Promise(resolve => setTimeout(resolve, retryMs(answer)))
    else return { task, run, calls, usd, code, why: answer.status === 402 ? `by the budget of ${scope}` : message }
  }
}

type Spent = {
  readonly task: string
  readonly run: string
  readonly calls: number
  readonly usd: number
  readonly code: string
  readonly why: string
}

const orchestrator = await openRun({ task: 'orchestrate', budgets: [{ limitUsd: budgetUsd }] })
const tasks = ['search', 'read', 'compare', 'write', 'review']
const children = await Promise.all(
  tasks.map(async task => ({
    task,
    run: await openRun({ task, parentRunId: orchestrator, budgets: [{ limitUsd: budgetUsd }] }),
  })),
)
const [own, ...spent] = await Promise.all([
  work('orchestrate', orchestrator),
  ...children.map(({ task, run }) => work(task, run)),
])

const total = [own, ...spent].reduce((sum, one) => sum + one.usd, 0)
console.log(lineOf('', own))
for (const [i, one] of spent.entries()) console.log(lineOf(i < spent.length - 1 ? '├─ ' : '└─ ', one))
console.log(`
Six agents with ${dollars(budgetUsd)} each would be ${dollars(6 * budgetUsd)}. The tree has spent ${dollars(total)} of ${dollars(budgetUsd)}.
  sluice run show ${orchestrator}`)
process.exitCode = total <= budgetUsd ? 0 : 1

function lineOf(branch: string, { task, calls, usd, code, why }: Spent): string {
  return `${`${branch}${task}`.padEnd(16)} ${String(calls).padStart(3)} calls  ${dollars(usd)}  ${code} ${why}`
}

function dollars(usd: number): string {
  return `$${usd.toFixed(6)}`
}

/** A run may only narrow what the run above it has; one that asks for more is answered 400. */
async function openRun(terms: object): Promise<string> {
  const answer = await post('/v1/runs', {}, terms)
  if (!answer.ok) throw new Error(`POST /v1/runs: ${answer.status} ${(await errorOf(answer)).message}`)
  return ((await answer.json()) as { id: string }).id
}

function post(path: string, headers: Record<string, string>, body: object): Promise<Response> {
  return fetch(url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
}

function retryMs({ headers }: Response): number {
  return 1000 * Number(headers.get('retry-after') ?? 1)
}

async function errorOf(answer: Response): Promise<Record<'code' | 'message' | 'scope', string>> {
  return ((await answer.json()) as { error: Record<'code' | 'message' | 'scope', string> }).error
}

/** The key that the first start on this directory has made. */
function firstKey(): string {
  return JSON.parse(fs.readFileSync('.sluice/credentials.json', 'utf8')).agentKey
}
