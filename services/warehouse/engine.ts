import { writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fromEngine, QueryException } from './exception.ts'
import { loadNative, type NativeClass, type NativeConnection, type NativeResult, type NativeWrite } from './native.ts'

/**
 * chdb, the ClickHouse engine in this process. Every statement gets a connection of its own, opened for it and
 * closed behind it: that takes a quarter of a millisecond and nothing a statement sets (a deduplication token, a
 * parameter, a database) can reach the next one. Statements on different connections run side by side.
 */
export type Engine = {
  readonly version: string
  readonly timezone: string
  /** `tag` names the statement for `kill`; `settings` hold from its first moment. */
  connect(tag: string, settings?: EngineSettings): Connection
  /** Asks the engine to cancel what runs under `tag`. Returns at once; the statement fails by itself with code 394. */
  kill(tag: string): Promise<void>
  /** Waits for what still runs, then lets go of the directory. */
  close(): Promise<void>
}

/** For one statement. Not to be closed while a call is under way: the engine would abort as a whole. */
export type Connection = {
  /** Throws QueryException. */
  query(sql: string, format: string): Promise<NativeResult>
  insert(head: string, data: Buffer): Promise<NativeWrite>
  classify(sql: string): Promise<NativeClass>
  close(): void
}

export type EngineSettings = Readonly<Record<string, string | number>>

/**
 * How the engine differs from a server until told: it takes a lone expression for a SELECT, lets stack addresses be
 * resolved to symbols, and refuses an empty insert. `async_insert` is accepted by the embedded engine and not
 * obeyed; off, it cannot change how deduplication works either.
 */
const likeAServer: EngineSettings = {
  implicit_select: 0,
  allow_introspection_functions: 0,
  throw_if_no_data_to_insert: 0,
  async_insert: 0,
}

/**
 * A laptop's share: caches sized in hundreds of megabytes instead of the server's 5 GiB each, idle threads let go
 * instead of a thousand kept, and inserts on disk when they are answered (under a tenth of their time).
 */
const serverConfig = `<clickhouse>
  <mark_cache_size>134217728</mark_cache_size>
  <primary_index_cache_size>134217728</primary_index_cache_size>
  <index_mark_cache_size>67108864</index_mark_cache_size>
  <text_index_tokens_cache_size>33554432</text_index_tokens_cache_size>
  <text_index_header_cache_size>33554432</text_index_header_cache_size>
  <text_index_postings_cache_size>67108864</text_index_postings_cache_size>
  <vector_similarity_index_cache_size>16777216</vector_similarity_index_cache_size>
  <query_condition_cache_size>16777216</query_condition_cache_size>
  <compiled_expression_cache_size>33554432</compiled_expression_cache_size>
  <max_thread_pool_free_size>16</max_thread_pool_free_size>
  <merge_tree>
    <fsync_after_insert>1</fsync_after_insert>
    <fsync_part_directory>1</fsync_part_directory>
  </merge_tree>
</clickhouse>
`

/** The engine writes the cause to standard error and keeps it from us; nearly always it is the lock. */
function openFirst(open: () => NativeConnection): NativeConnection {
  try {
    return open()
  } catch (cause) {
    const advice = 'Is another process working on the same directory? The line before says why'
    throw new QueryException(76, 'CANNOT_OPEN_FILE', `The engine did not open. ${advice}`, cause)
  }
}

/** Throws QueryException 76 where another process holds the directory; the lock dies with its holder, kill -9 or not. */
export async function openEngine(dataDir: string, memoryLimitBytes: number): Promise<Engine> {
  const directory = resolve(dataDir)
  await mkdir(directory, { recursive: true })
  const native = loadNative()
  const configFile = join(directory, 'engine.xml')
  writeFileSync(configFile, serverConfig)
  const underway = new Set<Promise<unknown>>()

  const open = (args: readonly string[]): NativeConnection => {
    try {
      return native.CreateConnection(directory, args)
    } catch (thrown) {
      throw fromEngine(thrown)
    }
  }
  /** The engine cannot be let go of while it works, so every call is remembered until it is over. */
  const track = async <T>(call: Promise<T>): Promise<T> => {
    underway.add(call)
    try {
      return await call
    } catch (thrown) {
      throw fromEngine(thrown)
    } finally {
      underway.delete(call)
    }
  }

  // Holds the directory (and the engine) open between statements.
  const keeper = openFirst(() => open([`--config-file=${configFile}`, `--max_server_memory_usage=${memoryLimitBytes}`]))

  const connect = (tag: string, settings: EngineSettings = {}): Connection => {
    const all = { ...likeAServer, ...settings, log_comment: tag }
    const connection = open(Object.entries(all).map(([name, value]) => `--${name}=${value}`))
    return {
      query: (sql, format) => track(native.QueryAsyncConnection(connection, sql, format)),
      insert: (head, data) => track(native.InsertRawAsyncConnection(connection, head, data, false)),
      classify: sql => track(native.DurableClassifyAsync(connection, sql)),
      close: () => native.CloseConnection(connection),
    }
  }

  const once = async (sql: string): Promise<string> => {
    const connection = connect('housekeeping')
    try {
      return Buffer.from((await connection.query(sql, 'TabSeparated')).bytes).toString()
    } finally {
      connection.close()
    }
  }

  const [version = '', timezone = 'UTC'] = (await once('SELECT version(), timezone()')).trim().split('\t')
  return {
    version,
    timezone,
    connect,
    // ASYNC: the synchronous form waits for the statement, and a statement that waits for us would wait for ever.
    kill: async tag => {
      await once(`KILL QUERY WHERE Settings['log_comment'] = '${tag}' ASYNC`)
    },
    close: async () => {
      while (underway.size > 0) await Promise.allSettled(underway)
      native.CloseConnection(keeper)
    },
  }
}
