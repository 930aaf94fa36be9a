import { type AstNode, nodesOf, parseAst } from './ast.ts'
import type { Connection } from './engine.ts'
import { QueryException, refusal } from './exception.ts'
import type { Functions } from './functions.ts'
import { judgeShow } from './gate-show.ts'
import { denied, judgeText } from './gate-text.ts'
import { isMark, isWord, type Statement } from './statement.ts'

/**
 * What an analyst may ask. The engine's readonly mode lets through whatever reads, and more than tables can be read:
 * files by the scalar function `file`, other databases, other people's statements. So a statement is taken only if
 * all of it is on a list: its kind, every table, every function, every setting. Two readers look at it, our lexer
 * and the engine's parser (`EXPLAIN AST`, which runs nothing), because each misses what the other sees: the tree
 * leaves out what stands in APPLY and in SHOW … WHERE, the tokens do not say what a parameter will be replaced by.
 */
export type Gate = {
  readonly database: string
  /** Read from the engine with the first analyst's first statement: the list costs it 30 MB. */
  functions(): Promise<Functions>
}

const openings = new Set(['SELECT', 'WITH', 'FROM', '(', 'SHOW', 'DESCRIBE', 'DESC', 'EXPLAIN', 'EXISTS'])
const nodeKinds = new Set(
  `SelectWithUnionQuery SelectQuery SelectIntersectExceptQuery ExpressionList Identifier TableIdentifier Function
   Literal Asterisk QualifiedAsterisk ColumnsTransformerList ColumnsExceptTransformer ColumnsReplaceTransformer
   ColumnsReplaceTransformer::Replacement ColumnsApplyTransformer ColumnsRegexpMatcher ColumnsListMatcher
   QualifiedColumnsRegexpMatcher QualifiedColumnsListMatcher TablesInSelectQuery TablesInSelectQueryElement
   TableExpression TableJoin ArrayJoin SampleRatio Subquery WithElement OrderByElement InterpolateElement
   WindowDefinition WindowListElement Set Explain DescribeQuery ShowTables ShowColumns ShowFunctions ShowEngineQuery
   ShowCreateTableQuery ShowCreateViewQuery ShowCreateDatabaseQuery ExistsTableQuery ExistsViewQuery
   ExistsDatabaseQuery`.split(/\s+/),
)
const explains = new Set(['PLAN', 'AST', 'SYNTAX', 'QUERY TREE', 'PIPELINE', 'ESTIMATE'].map(kind => `EXPLAIN ${kind}`))
explains.add('EXPLAIN')

/**
 * They make rows out of numbers; the subquery of `view` is judged like any other. Not `values`: its columns are text,
 * and a column can be `ALIAS file(…)`.
 */
const tableFunctions = new Set('numbers numbers_mt zeros zeros_mt generateseries generate_series view'.split(' '))

/** What describes the engine and our tables. Nothing that shows other statements, paths, hosts or passwords. */
const systemTables = new Set(
  `one numbers numbers_mt zeros zeros_mt tables columns databases functions formats settings data_type_families
   table_functions table_engines aggregate_function_combinators collations keywords time_zones contributors licenses
   build_options documentation codecs data_skipping_indices projections merge_tree_settings current_roles
   enabled_roles privileges completions unicode`.split(/\s+/),
)

/** Throws READONLY, ACCESS_DENIED or the engine's syntax error; returns if the statement may run. */
export async function judge(
  gate: Gate,
  connection: Connection,
  statement: Statement,
  params: ReadonlyMap<string, string>,
): Promise<void> {
  if (!openings.has(statement.opening)) {
    throw refusal(
      'READONLY',
      'Cannot execute query in readonly mode. An analyst may SELECT, SHOW, DESCRIBE and EXPLAIN',
    )
  }
  const functions = await gate.functions()
  judgeText(functions, statement, params)
  const { statementCount, queryClass } = await connection.classify(statement.text)
  // A text that does not parse goes on: to be explained is to be told why, and nothing of it is run.
  if (statementCount > 1) throw refusal('SYNTAX_ERROR', 'Syntax error (Multi-statements are not allowed)')
  if (statementCount === 1 && queryClass !== 0) throw refusal('READONLY', 'Cannot execute query in readonly mode')
  if (statement.opening === 'SHOW') judgeShow(gate.database, statement.tokens)
  const tree = parseAst(await explain(connection, statement.text))
  if (tree === undefined) throw denied('this statement')
  await judgeTree({ database: gate.database, functions }, connection, statement, nodesOf(tree))
}

/** The engine's parse; positions in its errors are brought back to the statement as it was sent. */
async function explain(connection: Connection, text: string): Promise<string> {
  const prefix = 'EXPLAIN AST '
  try {
    return Buffer.from((await connection.query(prefix + text, 'TSVRaw')).bytes).toString()
  } catch (error) {
    if (!(error instanceof QueryException)) throw error
    const message = error.message.replace(
      /(failed at position )(\d+)/g,
      (_, lead, at) => lead + (Number(at) - prefix.length),
    )
    throw new QueryException(error.code, error.type, message, error)
  }
}

type Judge = { readonly database: string; readonly functions: Functions }

async function judgeTree(
  gate: Judge,
  connection: Connection,
  statement: Statement,
  nodes: readonly AstNode[],
): Promise<void> {
  const count = (kind: string) => nodes.filter(node => node.kind === kind).length
  for (const node of nodes) {
    if (!nodeKinds.has(node.kind)) throw denied(`${node.kind} ${node.name}`.trim())
    if (node.kind === 'Explain' && !explains.has(node.name)) throw denied(node.name)
    if (node.kind === 'TableIdentifier') judgeTable(gate, node.name)
    if (node.kind === 'Identifier') judgeIdentifier(gate, node)
    if (node.kind === 'Function') await judgeFunction(gate, connection, node)
  }
  const [root] = nodes
  if (/^(Exists|ShowCreate)(Table|View)Query$/.test(root?.kind ?? '')) {
    judgeTable(gate, root?.children.map(child => child.name).join('.') ?? '')
  }
  // The tree must show all that the tokens show: no SELECT in a corner that is not printed, no clause unread.
  if (count('SelectQuery') !== statement.tokens.filter(token => isWord(token, 'SELECT')).length) {
    throw denied('a subquery in this place')
  }
  const own = statement.opening === 'EXPLAIN' && hasOwnSettings(statement) ? 1 : 0
  if (count('Set') > statement.settings.length + own) throw denied('a SETTINGS clause in this place')
}

function judgeTable(gate: Judge, name: string): void {
  const dot = name.indexOf('.')
  // Without a database it is one of ours, or a name this statement gave itself.
  if (dot < 0) return
  const [database, table] = [name.slice(0, dot), name.slice(dot + 1)]
  if (database === gate.database) return
  if (database === 'system' && systemTables.has(table)) return
  if (database === 'information_schema' || database === 'INFORMATION_SCHEMA') return
  throw denied(`the table ${name}`)
}

function judgeIdentifier(gate: Judge, node: AstNode): void {
  if (gate.functions.refused(node.name)) throw denied(`the function '${node.name}'`)
  const call = node.parent?.parent
  const isSet = call?.kind === 'Function' && /^(global)?(not)?(null)?in(ignoreset)?$/i.test(call.name)
  // `x IN db.table` reads the table.
  if (isSet && node.parent?.children.indexOf(node) === 1) judgeTable(gate, node.name)
}

async function judgeFunction(gate: Judge, connection: Connection, { name, parent }: AstNode): Promise<void> {
  if (parent?.kind !== 'TableExpression') {
    if (!gate.functions.callable(name)) throw denied(`the function '${name}'`)
    return
  }
  if (tableFunctions.has(name.toLowerCase())) return
  const view = name.startsWith(`${gate.database}.`) ? name.slice(gate.database.length + 1) : name
  if (!/^\w+$/.test(view) || gate.functions.isTableFunction(view)) throw denied(`the table function '${name}'`)
  const found = await connection.query(
    `SELECT count() FROM system.tables WHERE database = '${gate.database}' AND name = '${view}' AND engine = 'View'`,
    'TabSeparated',
  )
  if (Buffer.from(found.bytes).toString().trim() === '0') throw denied(`the table function '${name}'`)
}

/** `EXPLAIN PLAN indexes = 1 SELECT …` */
function hasOwnSettings({ tokens }: Statement): boolean {
  const query = tokens.findIndex(token => isWord(token, 'SELECT') || isWord(token, 'WITH') || isMark(token, '('))
  return tokens.slice(0, Math.max(query, 0)).some(token => isMark(token, '='))
}
