import { createRequire } from 'node:module'

/**
 * The few calls of chdb's addon this role stands on. Its JavaScript layer is left out on purpose: it keeps settings
 * on the connection, runs all parameterised queries of a process one after another, and takes inserts in a handful
 * of formats only. The addon does none of that.
 */
export type Native = {
  CreateConnection(directory: string, args: readonly string[]): NativeConnection
  CloseConnection(connection: NativeConnection): void
  /** One statement; its whole result comes back as bytes in the named format. */
  QueryAsyncConnection(connection: NativeConnection, sql: string, format: string): Promise<NativeResult>
  /** `head`, a newline, `data`, run as one statement; the bytes are never made a string. */
  InsertRawAsyncConnection(
    connection: NativeConnection,
    head: string,
    data: Buffer,
    countLines: boolean,
  ): Promise<NativeWrite>
  /** The engine's own parser: how many statements, and the strictest class among them. Runs nothing. */
  DurableClassifyAsync(connection: NativeConnection, sql: string): Promise<NativeClass>
}

declare const handle: unique symbol
/** Opaque: an external the addon checks itself. */
export type NativeConnection = { readonly [handle]: true }
/** `elapsed` in seconds. Rows and bytes are, whatever their names say, those of the result. */
export type NativeResult = {
  readonly bytes: Uint8Array
  readonly elapsed: number
  readonly rowsRead: number
  readonly bytesRead: number
}
export type NativeWrite = { readonly rowsWritten: number; readonly bytesWritten: number; readonly elapsed: number }
/** `queryClass`: 0 reads only, 1 changes a database, 2 changes what is global, 3 control, 4 not understood. */
export type NativeClass = { readonly statementCount: number; readonly queryClass: number }

/** Loads half a gigabyte of engine, so only when asked. Throws where chdb has no build for this platform. */
export function loadNative(): Native {
  const fromHere = createRequire(import.meta.url)
  // Relative to the package itself: the loader is not among its public exports, the version is pinned exactly.
  const fromChdb = createRequire(fromHere.resolve('chdb'))
  // The addon has no types of its own; the shape above is what the tests of this role hold it to.
  const loader = fromChdb('./dist/loader.js') as { loadNative(): Native }
  return loader.loadNative()
}
