import type { Connection, Engine } from './engine.ts'

/**
 * Which functions an analyst may name. The engine has some 1,900 and lists them by category; whole categories that
 * only compute are let in, and of the mixed ones single names. What a later engine adds elsewhere stays out until
 * somebody has judged it; what it adds to a category let in is noticed by a test.
 */
const computing = [
  'Type Conversion',
  'Dates and Times',
  'Arrays',
  'String',
  'Geo',
  'Hash',
  'String Search',
  'JSON',
  'URL',
  'Mathematical',
  'Arithmetic',
  'Geo Polygon',
  'Map',
  'IP Address',
  'Comparison',
  'Tuple',
  'Distance',
  'Random Number',
  'Bitmap',
  'NumericIndexedVector',
  'Bit',
  'UUID',
  'Encoding',
  'String Splitting',
  'String Replacement',
  'Null',
  'Rounding',
  'Time Window',
  'Encryption',
  'Conditional',
  'Financial',
  'Logical',
  'QBit',
]

/** Of `Other` and `Internal`: what describes values, formats them, or says who and where one is. */
const single = `
  _CAST caseWithExpression nested
  MACNumToString MACStringToNum MACStringToOUI bar byteSize countDigits digits
  colorOKLABToSRGB colorOKLCHToSRGB colorSRGBToOKLAB colorSRGBToOKLCH
  blockNumber blockSerializedSize blockSize rowNumberInAllBlocks rowNumberInBlock
  runningAccumulate runningConcurrency runningDifference runningDifferenceStartingWithFirstValue neighbor
  finalizeAggregation
  currentDatabase currentSchemas currentUser currentRoles enabledRoles defaultRoles currentProfiles enabledProfiles
  defaultProfiles authenticatedUser connectionId currentQueryID queryID initialQueryID initialQueryStartTime
  displayName hostName version revision uptime globalVariable shardCount shardNum
  getSetting getSettingOrDefault getSizeOfEnumType getSubcolumn getTypeSerializationStreams
  defaultValueOfArgumentType defaultValueOfTypeName dumpColumnStructure errorCodeToName
  flipCoordinates formatQuery formatQueryOrNull formatQuerySingleLine formatQuerySingleLineOrNull
  formatReadableDecimalSize formatReadableQuantity formatReadableSize formatReadableTimeDelta
  normalizeQuery normalizeQueryKeepNames normalizedQueryHash normalizedQueryHashKeepNames highlightQuery tokenizeQuery
  identity ignore indexHint isConstant isDecimalOverflow lowCardinalityIndices lowCardinalityKeys materialize
  minSampleSizeContinuous minSampleSizeConversion parseReadableSize parseReadableSizeOrNull parseReadableSizeOrZero
  parseTimeDelta partitionId throwIf toColumnTypeName toTypeName transform variantElement variantType visibleWidth
`

/**
 * In a computing category and yet not: the first two write any format, also those that read a template or a schema
 * file; the others take an aggregate function as text and evaluate what stands in its parentheses, out of sight of
 * every reader of the statement (`arrayReduce('groupConcat(file(…))', …)`).
 */
const exceptions = ['formatRow', 'formatRowNoNewline', 'arrayReduce', 'arrayReduceInRanges', 'initializeAggregation']

/** Aggregates that look at the process, or read a codec's definition, instead of at rows. */
const refusedAggregates = ['flameGraph', 'estimateCompressionRatio']

/** What the parser makes of syntax and the engine's list does not name. */
const syntax = ['lambda', 'exists', 'grouping', 'untuple']

export type Functions = {
  /** As a call in the syntax tree: known and let in, aggregates with any of their combinators. */
  callable(name: string): boolean
  /** Known and kept out. A bare name is enough: `arrayMap(file, …)` calls it. */
  refused(name: string): boolean
  isTableFunction(name: string): boolean
  /** All names let in, sorted: for the test that notices a new engine. */
  readonly allowed: readonly string[]
}

/** The same, read once and when first asked for; a failure is forgotten. */
export function lazyFunctions(engine: Engine): () => Promise<Functions> {
  let loading: Promise<Functions> | undefined
  const load = async () => {
    const connection = engine.connect('functions')
    try {
      return await loadFunctions(connection)
    } catch (error) {
      loading = undefined
      throw error
    } finally {
      connection.close()
    }
  }
  return () => {
    loading ??= load()
    return loading
  }
}

export async function loadFunctions(connection: Connection): Promise<Functions> {
  const words = (list: string) => list.trim().split(/\s+/)
  const rows = async (sql: string): Promise<readonly (readonly string[])[]> => {
    const { bytes } = await connection.query(sql, 'TabSeparated')
    const text = Buffer.from(bytes).toString().trimEnd()
    return text.split('\n').map(line => line.split('\t'))
  }
  const all = await rows('SELECT name, alias_to, categories, is_aggregate, origin FROM system.functions')
  const combinators = (await rows('SELECT name FROM system.aggregate_function_combinators')).map(([name = '']) => name)
  const tableFunctions = new Set((await rows('SELECT lower(name) FROM system.table_functions')).map(([name]) => name))

  const category = new Map(all.map(([name = '', , categories = '']) => [name, categories]))
  const named = new Set(words(single))
  const out = new Set([...exceptions, ...refusedAggregates])
  const isIn = ([name = '', alias = '', , aggregate, origin]: readonly string[]): boolean => {
    const original = alias === '' ? name : alias
    if (origin !== 'System' || out.has(original)) return false
    return aggregate === '1' || named.has(original) || computing.includes(category.get(original) ?? '')
  }
  // Compared in lower case throughout: some names are case-insensitive to the engine, and none of those let in
  // differs from one kept out by case alone.
  const kept = new Set(all.filter(row => !isIn(row)).map(([name = '']) => name.toLowerCase()))
  const allowed = new Set(
    [...all.filter(isIn).map(([name = '']) => name), ...syntax]
      .map(name => name.toLowerCase())
      .filter(name => !kept.has(name)),
  )
  const aggregates = new Set(all.filter(row => row[3] === '1' && isIn(row)).map(([name = '']) => name.toLowerCase()))

  const isAggregate = (name: string): boolean => {
    if (aggregates.has(name.toLowerCase())) return true
    return combinators.some(
      suffix => name.length > suffix.length && name.endsWith(suffix) && isAggregate(name.slice(0, -suffix.length)),
    )
  }
  return {
    callable: name => allowed.has(name.toLowerCase()) || isAggregate(name),
    refused: name => kept.has(name.toLowerCase()),
    isTableFunction: name => tableFunctions.has(name.toLowerCase()),
    allowed: [...allowed].sort(),
  }
}
