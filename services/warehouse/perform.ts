import { randomUUID } from 'node:crypto'
import { pipeline, type Readable } from 'node:stream'
import type { Answer, Stats } from './answer.ts'
import type { Ask } from './ask.ts'
import { killOnAbort } from './cancel.ts'
import type { Connection, Engine } from './engine.ts'
import { refusal } from './exception.ts'
import { type Gate, judge } from './gate.ts'
import { isRevised, makeSetup, openingTokens, statementText } from './intake.ts'
import { Lane } from './lanes.ts'
import type { NativeResult } from './native.ts'
import { NativeRevision } from './native-revision.ts'
import type { Pipe, Pipes } from './pipes.ts'
import { type AnalystLimits, analystBase, quoteText, setupSql } from './settings.ts'
import { isWord, readStatement, type Statement } from './statement.ts'

/**
 * Two cores are busy with two statements; a few more keep a slow one from being all there is. Together they stay
 * below the sixteen threads the process is started with, so that KILL and zlib always find one. The sink may wait
 * half a minute for a merge or a backfill; a person is told sooner.
 */
export const makeLanes = () => ({
  write: new Lane('write', { width: 3, queue: 64, waitMs: 30_000 }),
  read: new Lane('read', { width: 4, queue: 64, waitMs: 10_000 }),
  analyst: new Lane('analyst', { width: 3, queue: 32, waitMs: 10_000 }),
})

export type Desk = {
  readonly engine: Engine
  readonly pipes: Pipes
  readonly lanes: ReturnType<typeof makeLanes>
  readonly gate: Gate
  readonly limits: AnalystLimits
}

/**
 * Runs what was asked on a connection of its own and answers. `gone` fires when the client left: reading stops, a
 * write that has begun goes on, as on a server. `down` fires when the process has to end: everything stops.
 */
export async function perform(
  desk: Desk,
  ask: Ask,
  answer: Answer,
  gone: AbortSignal,
  down: AbortSignal,
): Promise<void> {
  const insert = isWord(openingTokens(ask)[0], 'INSERT')
  const statement = insert ? undefined : readStatement(statementText(ask))
  const analyst = ask.user === 'analyst'
  const reads =
    statement !== undefined && /^(SELECT|WITH|FROM|\(|SHOW|DESCRIBE|DESC|EXPLAIN|EXISTS)$/.test(statement.opening)
  if (analyst && insert) throw refusal('READONLY', 'Cannot execute query in readonly mode. An analyst may not INSERT')
  const setup = setupSql(makeSetup(desk.gate.database, desk.limits, ask, statement))

  const lane = analyst ? desk.lanes.analyst : reads ? desk.lanes.read : desk.lanes.write
  const leave = await lane.enter(AbortSignal.any([gone, down]))
  const tag = randomUUID()
  const stopped = reads ? AbortSignal.any([gone, down]) : down
  const killing = killOnAbort(desk.engine, tag, stopped)
  try {
    const connection = desk.engine.connect(tag, analyst ? analystBase(desk.limits) : {})
    try {
      await connection.query(setup, 'Null')
      if (statement === undefined) await write(connection, ask, answer)
      else await run(desk, connection, statement, ask, answer, stopped)
    } finally {
      connection.close()
    }
  } finally {
    killing.over()
    leave()
  }
}

async function write(connection: Connection, ask: Ask, answer: Answer): Promise<void> {
  if (!ask.mayWrite) throw onlyReads()
  const head = ask.query.trim() === '' ? '' : ask.query
  const tokens = openingTokens(ask)
  const format = tokens.findIndex((token, index) => isWord(token, 'FORMAT') && tokens[index + 1]?.kind === 'word')
  if (format < 0 || isWord(tokens[format + 1], 'VALUES')) {
    // Without a format the rest is SQL, and the engine would run a second statement in it.
    const text = `${head}\n${ask.body.toString('utf8')}`
    const { statementCount } = await connection.classify(text)
    if (statementCount > 1) throw refusal('SYNTAX_ERROR', 'Syntax error (Multi-statements are not allowed)')
  }
  const { rowsWritten, bytesWritten, elapsed } = await connection.insert(head, ask.body)
  await answer.whole(ask, '', new Uint8Array(), {
    resultRows: rowsWritten,
    resultBytes: bytesWritten,
    writtenRows: rowsWritten,
    writtenBytes: bytesWritten,
    elapsedSeconds: elapsed,
  })
}

async function run(
  desk: Desk,
  connection: Connection,
  statement: Statement,
  ask: Ask,
  answer: Answer,
  stopped: AbortSignal,
): Promise<void> {
  const format = statement.format ?? ask.defaultFormat ?? 'TabSeparated'
  if (ask.user === 'analyst') await judge(desk.gate, connection, statement, ask.params)
  else refuseWithoutServer(statement, ask)
  const { statementCount, queryClass } = await connection.classify(statement.text)
  if (statementCount > 1) throw refusal('SYNTAX_ERROR', 'Syntax error (Multi-statements are not allowed)')
  if (statementCount === 1 && queryClass !== 0 && !ask.mayWrite) throw onlyReads()

  const pipe = statementCount === 1 && queryClass === 0 && /^\w+$/.test(format) ? desk.pipes.take() : undefined
  if (pipe === undefined) {
    const result = await connection.query(statement.text, ask.defaultFormat ?? 'TabSeparated')
    await answer.whole(ask, format, result.bytes, readStats(result))
    return
  }
  const done = writeInto(connection, statement, format, pipe)
  const drop = () => pipe.body.destroy()
  stopped.addEventListener('abort', drop)
  try {
    await answer.rows(ask, format, inRevision(ask, format, pipe), done)
  } finally {
    stopped.removeEventListener('abort', drop)
    // Whatever became of the answer, the connection is only free when the engine has let go of it.
    pipe.body.destroy()
    await done.catch(() => {})
  }
}

function inRevision(ask: Ask, format: string, pipe: Pipe): Readable {
  if (!isRevised(ask, format)) return pipe.body
  // What goes wrong on the way shows where it is read.
  return pipeline(pipe.body, new NativeRevision(ask.protocolVersion), () => {})
}

async function writeInto(connection: Connection, statement: Statement, format: string, pipe: Pipe): Promise<Stats> {
  try {
    const { body, tail } = statement
    return readStats(
      await connection.query(`${body}\nINTO OUTFILE ${quoteText(pipe.path)} APPEND FORMAT ${format}${tail}`, 'Null'),
    )
  } finally {
    pipe.finish()
  }
}

/** What a server refuses over HTTP as well, and what has no meaning on a connection that ends with its statement. */
function refuseWithoutServer(statement: Statement, ask: Ask): void {
  const { tokens, opening } = statement
  if (tokens.some((token, index) => isWord(token, 'OUTFILE') && isWord(tokens[index - 1], 'INTO'))) {
    throw refusal('INTO_OUTFILE_NOT_ALLOWED', 'INTO OUTFILE is not allowed')
  }
  const temporary = opening === 'CREATE' && tokens.slice(1, 4).some(token => isWord(token, 'TEMPORARY'))
  if (temporary || (ask.session && (opening === 'SET' || opening === 'USE'))) {
    throw refusal(
      'NOT_IMPLEMENTED',
      'Sessions are not kept here: every request stands alone. Send settings and database with the request',
    )
  }
}

const onlyReads = () =>
  refusal(
    'READONLY',
    'Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. You should use method POST for modifying queries',
  )

const readStats = ({ rowsRead, bytesRead, elapsed }: NativeResult): Stats => ({
  resultRows: rowsRead,
  resultBytes: bytesRead,
  writtenRows: 0,
  writtenBytes: 0,
  elapsedSeconds: elapsed,
})
