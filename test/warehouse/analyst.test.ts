import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createClient } from '@clickhouse/client'
import { startTestWarehouse, type TestWarehouse } from '../support/warehouse.ts'

let warehouse: TestWarehouse
const scratch = mkdtempSync(join(tmpdir(), 'sluice-analyst-'))
const secret = join(scratch, 'secret.csv')
const written = join(scratch, 'written.csv')
const secretText = 'the-content-of-a-secret-file'

before(async () => {
  writeFileSync(secret, `${secretText},1\n`)
  warehouse = await startTestWarehouse({
    analystLimits: { maxExecutionSeconds: 2, maxResultRows: 100_000, maxMemoryBytes: 200_000_000 },
  })
  const client = createClient({ url: warehouse.url, username: 'sluice', password: warehouse.users.sluice })
  const ddl = [
    `CREATE TABLE calls (ts DateTime64(3), agent String, tool String, args String, labels JSON, tags Map(String, String),
     input_tokens Nullable(UInt32), latency_ms UInt32, chain Array(String), user String, offset UInt64)
     ENGINE = MergeTree ORDER BY (agent, ts)`,
    'CREATE VIEW slow AS SELECT * FROM calls WHERE latency_ms > 500',
    'CREATE VIEW of_agent AS SELECT * FROM calls WHERE agent = {agent:String}',
    `CREATE TABLE by_tool (tool String, n AggregateFunction(count), lat AggregateFunction(quantilesTDigest(0.5, 0.95), UInt32))
     ENGINE = AggregatingMergeTree ORDER BY tool`,
    `CREATE MATERIALIZED VIEW by_tool_mv TO by_tool AS
     SELECT tool, countState() AS n, quantilesTDigestState(0.5, 0.95)(latency_ms) AS lat FROM calls GROUP BY tool`,
    `INSERT INTO calls SELECT toDateTime64('2026-01-01 00:00:00', 3) + number, concat('agent', toString(number % 3)),
     concat('tool', toString(number % 5)), concat('{"n":', toString(number), '}'), '{"env":"test"}', map('k', toString(number % 2)),
     if(number % 4 = 0, NULL, number), number, ['root', concat('agent', toString(number % 3))], 'ann', number FROM numbers(1000)`,
    'CREATE DATABASE other ENGINE = Atomic',
    'CREATE TABLE other.secrets (s String) ENGINE = MergeTree ORDER BY s',
    `INSERT INTO other.secrets VALUES ('${secretText}')`,
  ]
  for (const query of ddl) await client.command({ query })
  await client.close()
})

after(async () => {
  await warehouse.stop()
  rmSync(scratch, { recursive: true, force: true })
})

async function ask(query: string, settings: Record<string, string> = {}, user: 'analyst' | 'sluice' = 'analyst') {
  const url = `${warehouse.url}/?${new URLSearchParams(settings)}`
  const headers = { 'x-clickhouse-user': user, 'x-clickhouse-key': warehouse.users[user] }
  const response = await fetch(url, { method: 'POST', body: query, headers })
  return {
    status: response.status,
    code: response.headers.get('x-clickhouse-exception-code'),
    text: await response.text(),
  }
}

/** What must work, and what it answers. `undefined`: any answer. */
const legitimate: readonly (readonly [query: string, answer?: string, settings?: Record<string, string>])[] = [
  ['SELECT 1', '1\n'],
  ['select count() from calls', '1000\n'],
  ['SELECT count() FROM sluice.calls;', '1000\n'],
  ['-- a comment\nSELECT /* one /* inside */ another */ 2 # and one more\n', '2\n'],
  ["SELECT 'it''s; a \\'string\\' -- not /* a comment'", "it\\'s; a \\'string\\' -- not /* a comment\n"],
  ['SELECT $$a ; heredoc$$', 'a ; heredoc\n'],
  ['SELECT `tool`, "agent" FROM calls ORDER BY ts LIMIT 1', 'tool0\tagent0\n'],
  ['WITH t AS (SELECT tool FROM calls) SELECT count() FROM t', '1000\n'],
  ['WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT max(n) FROM r', '5\n'],
  ["WITH toStartOfHour(ts) AS hour SELECT hour, count() FROM calls WHERE agent = 'agent1' GROUP BY hour"],
  ['FROM calls SELECT max(offset)', '999\n'],
  ['(SELECT 1) UNION ALL (SELECT 1)', '1\n1\n'],
  ['SELECT 1 UNION DISTINCT SELECT 1 EXCEPT SELECT 2', '1\n'],
  [
    'SELECT tool, count() AS n, quantile(0.95)(latency_ms) FROM calls GROUP BY tool HAVING n > 1 ORDER BY n DESC, tool LIMIT 2',
  ],
  ['SELECT quantilesTDigest(0.5, 0.9)(latency_ms), uniqExactIf(agent, latency_ms > 5), topK(3)(tool) FROM calls'],
  ['SELECT tool, countMerge(n), quantilesTDigestMerge(0.5, 0.95)(lat) FROM by_tool GROUP BY tool ORDER BY tool'],
  [
    'SELECT sum(input_tokens) FILTER (WHERE latency_ms > 10), count(DISTINCT tool), countIf(input_tokens IS NULL) FROM calls',
  ],
  [
    'SELECT row_number() OVER (PARTITION BY agent ORDER BY ts) AS r, lagInFrame(tool) OVER w FROM calls WINDOW w AS (ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) LIMIT 3',
  ],
  ['SELECT agent, tool FROM calls QUALIFY row_number() OVER (PARTITION BY agent ORDER BY latency_ms DESC) = 1'],
  [
    'SELECT a.tool, b.n FROM calls AS a LEFT JOIN (SELECT tool, count() AS n FROM calls GROUP BY tool) AS b USING (tool) LIMIT 1',
  ],
  ['SELECT count() FROM calls a ASOF JOIN calls b ON a.agent = b.agent AND a.ts >= b.ts'],
  [
    "SELECT count() FROM calls WHERE tool IN ('tool1', 'tool2') AND agent NOT IN (SELECT agent FROM calls WHERE agent = 'agent0')",
  ],
  ['SELECT count() FROM calls WHERE tool IN by_tool_names', '1000\n'],
  [
    'SELECT arrayMap(x -> x + 1, [1, 2]), arrayFilter((x, i) -> i > 1, [1, 2], [1, 2]), arrayJoin(chain) FROM calls LIMIT 1',
  ],
  ["SELECT arrayMap(upper, ['a'])", "['A']\n"],
  ['SELECT link FROM calls ARRAY JOIN chain AS link LIMIT 1', 'root\n'],
  ["SELECT JSONExtractInt(args, 'n'), args::JSON, labels.env, tags['k'] FROM calls LIMIT 1"],
  [
    "SELECT toDate(ts), ts + INTERVAL 1 HOUR, now() - INTERVAL 7 DAY, EXTRACT(YEAR FROM ts), dateDiff('minute', ts, now()), formatDateTime(ts, '%Y') FROM calls LIMIT 1",
  ],
  [
    "SELECT CAST(1 AS String), '1'::UInt8, toDecimal64(1.5, 2), CASE WHEN 1 THEN 'a' ELSE 'b' END, if(1, 2, 3), 1 ? 2 : 3, (1, 2).1, [1][1], -1, NOT 1, 1 BETWEEN 0 AND 2, 'a' LIKE 'a%', 'A' ILIKE 'a'",
  ],
  [
    "SELECT substring('abc' FROM 1 FOR 2), trim(BOTH ' ' FROM ' a '), position('b' IN 'abc'), 'a' || 'b', lower('A'), replaceRegexpAll('a', 'a', 'b'), splitByChar(',', 'a,b'), domain('http://a/b'), base64Encode('a')",
  ],
  [
    'SELECT tuple(1, 2), map(1, 2), array(1), (SELECT max(offset) FROM calls), EXISTS(SELECT 1), greatest(1, 2), round(1.5), cityHash64(1), generateUUIDv4() != generateUUIDv4()',
  ],
  ["SELECT * EXCEPT (labels, tags), COLUMNS('^t') APPLY(toString) FROM calls LIMIT 1"],
  ['SELECT COLUMNS(latency_ms, offset) APPLY(quantile(0.9)), COLUMNS(offset) APPLY max FROM calls'],
  ['SELECT * EXCEPT (labels, tags) APPLY toString APPLY(length) FROM calls LIMIT 1'],
  ['SELECT apply, apply - 1 FROM (SELECT 1 AS apply)', '1\t0\n'],
  ['SELECT * REPLACE (upper(tool) AS tool) FROM calls LIMIT 1'],
  [
    'SELECT toStartOfInterval(ts, INTERVAL 5 MINUTE) AS t, count() FROM calls GROUP BY t ORDER BY t WITH FILL STEP INTERVAL 5 MINUTE LIMIT 3',
  ],
  ['SELECT tool, agent, count() FROM calls GROUP BY GROUPING SETS ((tool), (agent)) ORDER BY ALL LIMIT 2'],
  ['SELECT tool, count() FROM calls GROUP BY tool WITH TOTALS FORMAT JSON'],
  ['SELECT tool FROM calls ORDER BY ts LIMIT 1 BY tool LIMIT 2 OFFSET 1', 'tool1\ntool2\n'],
  ['SELECT count() FROM slow', '499\n'],
  ["SELECT count() FROM of_agent(agent = 'agent1')", '333\n'],
  ['SELECT count() FROM sluice.of_agent(agent = {who:String})', '333\n', { param_who: 'agent1' }],
  [
    'SELECT {n:UInt8} + {m:Int32}, {s:String}, {l:Array(String)}',
    "3\ta;b\t['x']\n",
    { param_n: '1', param_m: '2', param_s: 'a;b', param_l: "['x']" },
  ],
  ['SELECT count() FROM {t:Identifier}', '1000\n', { param_t: 'calls' }],
  ['SELECT sum(number) FROM numbers(10)', '45\n'],
  ['SELECT * FROM generate_series(1, 3)', '1\n2\n3\n'],
  ['SELECT count() FROM view(SELECT * FROM calls)', '1000\n'],
  [
    "SELECT name FROM system.columns WHERE database = 'sluice' AND table = 'by_tool' ORDER BY position",
    'tool\nn\nlat\n',
  ],
  ["SELECT count() > 3 FROM system.tables WHERE database = 'sluice'", '1\n'],
  ["SELECT version() != '', timezone(), currentDatabase(), currentUser() != '', hostName() != '', uptime() >= 0"],
  ["SELECT getSetting('max_execution_time')", '2\n'],
  [
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'sluice' AND table_name = 'calls'",
    'calls\n',
  ],
  ['SHOW TABLES'],
  ["SHOW FULL TABLES FROM sluice LIKE 'c%' LIMIT 5"],
  ['SHOW DATABASES'],
  ['SHOW CREATE TABLE calls'],
  ['SHOW CREATE VIEW sluice.slow'],
  ['SHOW COLUMNS FROM calls'],
  ['DESCRIBE TABLE calls'],
  ['DESC sluice.calls FORMAT JSONEachRow'],
  ['DESCRIBE (SELECT 1 AS x)', 'x\tUInt8\t\t\t\t\t\n'],
  ['EXISTS TABLE calls', '1\n'],
  ['EXISTS sluice.nothing', '0\n'],
  ['EXPLAIN SELECT count() FROM calls'],
  ["EXPLAIN PLAN indexes = 1, actions = 0 SELECT * FROM calls WHERE agent = 'agent1'"],
  ['EXPLAIN PIPELINE SELECT 1'],
  ['EXPLAIN SYNTAX SELECT 1'],
  ['EXPLAIN AST SELECT 1'],
  ['EXPLAIN QUERY TREE SELECT 1'],
  ['EXPLAIN ESTIMATE SELECT * FROM calls'],
  ['SELECT 1 AS a FORMAT JSONEachRow', '{"a":1}\n'],
  ['SELECT 1 AS a FORMAT CSVWithNames', '"a"\n1\n'],
  ['SELECT toUInt64(1) AS a SETTINGS output_format_json_quote_64bit_integers = 1 FORMAT JSONEachRow', '{"a":"1"}\n'],
  ['SELECT toUInt64(1) AS a FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 1', '{"a":"1"}\n'],
  ['SELECT toUInt64(1) AS a FORMAT JSONEachRow', '{"a":"1"}\n', { output_format_json_quote_64bit_integers: '1' }],
  ["SELECT 1, 2 FORMAT CSV SETTINGS format_csv_delimiter = ';'", '1;2\n'],
  [
    "SELECT toDateTime('2026-01-01 00:00:00', 'UTC') SETTINGS date_time_output_format = 'iso'",
    '2026-01-01T00:00:00Z\n',
  ],
  ['SELECT 1 FORMAT TSV', '1\n', { max_execution_time: '1', max_result_rows: '10', readonly: '1' }],
  ['SELECT number FROM numbers(100) SETTINGS max_result_rows = 200'],
  ['SELECT count() FROM calls', '1000\n', { database: 'default' }],
  // What drivers send along: a deadline of their own, above the limit, and that they only read.
  ["SELECT getSetting('max_execution_time')", '2\n', { max_execution_time: '65', readonly: '2' }],
]

/** What the tools ask before their user asks anything. */
const startUp: readonly string[] = [
  // Grafana, DBeaver's driver, clickhouse-go, Metabase, Superset
  'SELECT 1',
  'SELECT version()',
  'SELECT timezone()',
  'SELECT displayName(), version(), revision(), timezone()',
  "SELECT currentUser() AS user, timezone() AS timezone, version() AS version, getSetting('readonly') AS readonly FORMAT RowBinaryWithNamesAndTypes",
  "SELECT name FROM system.databases WHERE name NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA') ORDER BY name",
  "SELECT name FROM system.tables WHERE database = 'sluice'",
  "SELECT name, type FROM system.columns WHERE database = 'sluice' AND table = 'calls'",
  "SELECT database, name, table, type, comment, default_kind FROM system.columns WHERE database LIKE 'sluice' FORMAT JSON",
  'SELECT name, engine, comment FROM system.tables WHERE database = currentDatabase()',
  "SELECT name, value FROM system.settings WHERE name = 'max_result_rows'",
  'SELECT name, is_aggregate FROM system.functions LIMIT 5',
  'SELECT name FROM system.table_engines',
  'SELECT name FROM system.data_type_families',
  "SELECT * FROM information_schema.columns WHERE table_schema = 'sluice' LIMIT 1",
  'SELECT schema_name FROM INFORMATION_SCHEMA.SCHEMATA',
  'SHOW DATABASES',
  'SHOW TABLES FROM sluice',
  'DESCRIBE TABLE sluice.calls',
  'SELECT toUnixTimestamp(toStartOfInterval(ts, INTERVAL 60 second)) * 1000 AS t, count() FROM sluice.calls WHERE ts >= toDateTime(1767225600) AND ts <= toDateTime(1767229200) GROUP BY t ORDER BY t FORMAT JSON',
  '/* grafana dashboard=x; user=1 */ SELECT 1 AS "value"',
]

/** Columns of ours; a name that were a refused function's could not be asked for. */
const columns =
  `ts org team agent user key_id session_id task labels run_id root_run_id parent_run_id depth run_source step
 request_id attempts chain chain_verified kind operation protocol provider model_requested model stream server tool
 tool_call_id observed args args_hash result result_hash result_bytes result_empty input_tokens output_tokens
 cache_read_tokens cache_write_tokens reasoning_tokens usage_source cost_nano_usd price_version outcome reason http_status
 upstream_status finish_reason error_type latency_ms ttft_ms gateway_us queue_us decision rule policy_version event_id
 topic partition offset state started_at last_at ended_at steps llm_calls tool_calls errors children tree_cost_nano_usd
 limit_nano_usd type scope action mode evidence data Timestamp TraceId SpanId ParentSpanId SpanName ServiceName
 SpanAttributes ResourceAttributes Duration StatusCode`.split(/\s+/)

/** Each must be refused with one of the codes below, and leave nothing behind. */
const attacks = (): readonly (readonly [query: string, settings?: Record<string, string>])[] => [
  // Files, by every door.
  [`SELECT file('${secret}')`],
  [`SELECT FILE('${secret}')`],
  [`SELECT \`file\`('${secret}')`],
  [`SELECT "file"('${secret}')`],
  [`SELECT file/**/('${secret}')`],
  [`SELECT arrayMap(file, ['${secret}'])`],
  [`SELECT arrayMap(\`file\`, ['${secret}'])`],
  [`SELECT arrayMap(x -> file(x), ['${secret}'])`],
  [`SELECT arrayMap({f:Identifier}, ['${secret}'])`, { param_f: 'file' }],
  [`SELECT '${secret}' AS x, * APPLY(file) FROM (SELECT '${secret}' AS p)`],
  [`SELECT * APPLY file FROM (SELECT '${secret}' AS p)`],
  [`SELECT COLUMNS('p') APPLY(x -> file(x)) FROM (SELECT '${secret}' AS p)`],
  [`WITH (x) -> file(x) AS f SELECT f('${secret}')`],
  [`SELECT 1 WHERE file('${secret}') != ''`],
  [`SELECT 1 ORDER BY file('${secret}')`],
  [`SELECT 1 LIMIT length(file('${secret}'))`],
  [`SELECT sum(1) OVER (ORDER BY file('${secret}'))`],
  [`EXPLAIN SELECT file('${secret}')`],
  [`EXPLAIN SYNTAX SELECT file('${secret}')`],
  [`EXPLAIN QUERY TREE SELECT file('${secret}')`],
  [`SELECT * FROM file('${secret}')`],
  [`SELECT * FROM file('${secret}', 'CSV', 's String, n UInt8')`],
  [`DESCRIBE TABLE file('${secret}')`],
  [`DESCRIBE (SELECT * FROM file('${secret}'))`],
  [`SELECT * FROM default.\`${secret}\``],
  [`SELECT * FROM \`default\`.\`${secret}\``],
  [`SELECT * FROM {d:Identifier}.{t:Identifier}`, { param_d: 'default', param_t: secret }],
  [`SELECT * FROM \`${secret}\``, { database: 'default' }],
  [`SELECT * FROM '${secret}'`],
  [`EXISTS TABLE default.\`${secret}\``],
  [`SHOW CREATE TABLE default.\`${secret}\``],
  [`DESCRIBE default.\`${secret}\``],
  [`SELECT 1 IN default.\`${secret}\``],
  ["SELECT * FROM '/etc/hostname'"],
  ['SELECT * FROM `/etc/hostname`', { database: 'sluice' }],
  [`SELECT * FROM of_agent(agent = file('${secret}'))`],
  [`SELECT * FROM filesystem('${scratch}')`],
  [`SELECT * FROM fileCluster('x', '${secret}')`],
  [`SELECT * FROM view(SELECT * FROM file('${secret}'))`],
  [`SELECT * FROM values('a String', file('${secret}'))`],
  // Text that the engine takes for code.
  [`SELECT b FROM values('a String, b String ALIAS file(''${secret}'')', ('x'))`],
  [`SELECT arrayReduce('groupConcat(file(\\'${secret}\\'))', ['a', 'b'])`],
  [`SELECT arrayReduce(concat('groupConcat(fi', 'le(\\'${secret}\\'))'), ['a', 'b'])`],
  [`SELECT arrayReduceInRanges('groupConcat(file(\\'${secret}\\'))', [(1, 2)], ['a', 'b'])`],
  [`SELECT arrayMap(arrayReduce, ['groupConcat(file(\\'${secret}\\'))'], [['a', 'b']])`],
  [`SELECT finalizeAggregation(initializeAggregation('groupConcatState(file(\\'${secret}\\'))', 'a'))`],
  [`SELECT CAST(unhex('00'), 'AggregateFunction(groupConcat(file(\\'${secret}\\')), String)')`],
  [`SELECT * FROM sqlite('${secret}', 't')`],
  [`SELECT * FROM executable('cat ${secret}', 'CSV', 's String')`],
  [`SELECT * FROM iceberg('${scratch}')`],
  [`SELECT * FROM deltaLakeLocal('${scratch}')`],
  [`SELECT catboostEvaluate('${secret}', 1)`],
  [`SELECT formatRow('Template', 1)`],
  [`SELECT 1 FORMAT Template SETTINGS format_template_resultset = '${secret}'`],
  ['SELECT 1 FORMAT Template', { format_template_resultset: secret }],
  [`SELECT 1 FORMAT Protobuf SETTINGS format_schema = '${secret}:M'`],
  [`SELECT 1 FORMAT Protobuf SETTINGS output_format_schema = '${written}'`],
  ['SELECT 1 FORMAT Protobuf', { output_format_schema: written }],
  // Writing files.
  [`SELECT 1 INTO OUTFILE '${written}'`],
  [`SELECT 1 into/**/outfile '${written}' TRUNCATE FORMAT CSV`],
  [`EXPLAIN SYNTAX SELECT 1 INTO OUTFILE '${written}'`],
  [`SHOW TABLES INTO OUTFILE '${written}'`],
  [`INSERT INTO FUNCTION file('${written}', 'CSV', 'a UInt8') VALUES (1)`],
  [`BACKUP TABLE calls TO File('${written}')`],
  // Network and other servers.
  ["SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')"],
  ["SELECT * FROM s3('http://127.0.0.1:1/b/k', 'CSV', 'a String')"],
  ["SELECT * FROM remote('127.0.0.1', 'system', 'one')"],
  ["SELECT * FROM cluster('default', system.one)"],
  ["SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')"],
  ["SELECT * FROM jdbc('x', 'y')"],
  ["SELECT aiGenerate('x', 'y')"],
  ["SELECT AIGenerate('x', 'y')"],
  // Round the list of tables.
  ["SELECT * FROM merge('other', '.*')"],
  [`SELECT COLUMNS('agent') APPLY(x -> x IN other.secrets) FROM calls`],
  [`SELECT COLUMNS('agent') APPLY((x) -> x IN other.secrets) FROM calls`],
  [`SELECT COLUMNS('agent') APPLY x -> x IN other.secrets FROM calls`],
  [`SELECT COLUMNS('agent') APPLY(quantile(1 IN other.secrets)) FROM calls`],
  [`SELECT COLUMNS('agent') APPLY quantile(1 IN other.secrets) FROM calls`],
  [`SELECT COLUMNS('agent') APPLY(quantile(0.5, x -> x IN other.secrets)) FROM calls`],
  [`SELECT * REPLACE (agent IN other.secrets AS agent) FROM calls`],
  [`SELECT sum(1) OVER (ORDER BY agent IN other.secrets) FROM calls`],
  [`SELECT agent FROM calls ORDER BY agent WITH FILL FROM (agent IN other.secrets)`],
  ['SELECT * FROM other.secrets'],
  ['SELECT * FROM "other"."secrets"'],
  ['SELECT * FROM other . secrets'],
  ['WITH x AS (SELECT * FROM other.secrets) SELECT * FROM x'],
  ['SELECT (SELECT s FROM other.secrets)'],
  [`SELECT '${secretText}' IN other.secrets`],
  [`SELECT in('${secretText}', other.secrets)`],
  [`SELECT '${secretText}' IN ({d:Identifier})`, { param_d: 'other.secrets' }],
  ['SELECT * FROM {d:Identifier}.{t:Identifier}', { param_d: 'other', param_t: 'secrets' }],
  ['SELECT * FROM secrets', { database: 'other' }],
  ['SELECT * FROM calls JOIN other.secrets ON 1'],
  ['SELECT * FROM loop(other.secrets)'],
  ["SELECT joinGet('other.secrets', 's', 1)"],
  ["SELECT dictGet('other.d', 's', 1)"],
  ["SELECT hasColumnInTable('other', 'secrets', 's')"],
  ['DESCRIBE other.secrets'],
  ['SHOW CREATE TABLE other.secrets'],
  ['SHOW COLUMNS FROM secrets FROM other'],
  ['SHOW TABLES FROM other'],
  ['EXISTS TABLE other.secrets'],
  // Other people's statements, the machine.
  ['SELECT query FROM system.processes'],
  ['SELECT * FROM processes', { database: 'system' }],
  ['SHOW PROCESSLIST'],
  ['SHOW GRANTS'],
  ['SHOW USERS'],
  ["SHOW SETTINGS LIKE '%'"],
  ["SHOW TABLES WHERE file('/etc/hostname') != ''"],
  ['SELECT * FROM system.errors'],
  ['SELECT * FROM system.server_settings'],
  ['SELECT * FROM system.stack_trace'],
  ['SELECT * FROM system.disks'],
  ["SELECT getServerPort('tcp_port')"],
  ["SELECT getMacro('x')"],
  ['SELECT sleep(1)'],
  ['SELECT sleepEachRow(0.1) FROM numbers(10)'],
  ['SELECT serverUUID()'],
  ['SELECT addressToLine(toUInt64(1))'],
  ['SELECT flameGraph(1)'],
  ["SELECT * FROM eval('SELECT 1')"],
  // Changing anything.
  ["INSERT INTO calls (agent) VALUES ('x')"],
  ['WITH x AS (SELECT 1) INSERT INTO calls (latency_ms) SELECT * FROM x'],
  ['CREATE TABLE made (a UInt8) ENGINE = Memory'],
  ['CREATE TEMPORARY TABLE made (a UInt8)'],
  ['CREATE FUNCTION made AS x -> x'],
  ['DROP TABLE calls'],
  ['TRUNCATE TABLE calls'],
  ['ALTER TABLE calls DELETE WHERE 1'],
  ['DELETE FROM calls WHERE 1'],
  ['OPTIMIZE TABLE calls FINAL'],
  ['RENAME TABLE calls TO gone'],
  ['ATTACH TABLE made'],
  ['DETACH TABLE calls'],
  ['GRANT ALL ON *.* TO analyst'],
  ['SYSTEM STOP MERGES'],
  ['SYSTEM SHUTDOWN'],
  ['KILL QUERY WHERE 1'],
  ['KILL MUTATION WHERE 1'],
  ['SET max_threads = 1'],
  ['USE other'],
  ['BEGIN TRANSACTION'],
  ['CHECK TABLE calls'],
  ['WATCH calls'],
  // Several statements in one text.
  ['SELECT 1; DROP TABLE calls'],
  ['SELECT 1;DROP TABLE calls;'],
  ["SELECT ';'; DROP TABLE calls"],
  ["SELECT '\\'; SELECT 1'; DROP TABLE calls; --'"],
  ['SELECT 1 /* /* */ ; */ ; DROP TABLE calls'],
  ['SELECT 1 -- \r; \n; DROP TABLE calls'],
  ['SELECT `a\\`; --`; DROP TABLE calls'],
  ['SELECT $a$ ; $a$; DROP TABLE calls'],
  ["SELECT x'41\\'; DROP TABLE calls; --'"],
  ['SELECT ‘a’; DROP TABLE calls'],
  ['SELECT 1 PARALLEL WITH DROP TABLE calls'],
  ['EXPLAIN AST SELECT 1; DROP TABLE calls'],
  ['EXPLAIN DROP TABLE calls'],
  // Settings.
  ['SELECT 1 SETTINGS max_execution_time = 0'],
  ['SELECT 1 SETTINGS max_execution_time = 1000'],
  ['SELECT 1', { max_execution_time: '0' }],
  ['SELECT 1', { max_execution_time: '1000' }],
  ['SELECT 1', { max_memory_usage: '0' }],
  ['SELECT 1', { max_result_rows: '0' }],
  ['SELECT 1 SETTINGS readonly = 0'],
  ['SELECT 1', { readonly: '0' }],
  ['SELECT 1 SETTINGS readonly = 2'],
  ['SELECT * FROM (SELECT 1 SETTINGS readonly = 2)'],
  ['SELECT 1 SETTINGS max_execution_time = 65'],
  ['SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)'],
  ['SELECT 1. SETTINGS max_memory_usage = 0'],
  ['EXPLAIN SELECT 1. SETTINGS max_memory_usage = 0'],
  ["SELECT 1 SETTINGS additional_table_filters = {'calls': '1'}"],
  ['SELECT 1', { allow_introspection_functions: '1' }],
  ['SELECT 1', { allow_ddl: '1' }],
  ['SELECT 1', { insert_deduplication_token: 'x' }],
  ['SELECT 1 SETTINGS format_display_secrets_in_show_and_select = 1'],
  ['SELECT 1 SETTINGS param_x = 1'],
  ['SELECT 1 AS x FORMAT JSON SETTINGS max_threads = 1'],
]

/** Everywhere an expression can stand; `?` is the expression. */
const places = `
SELECT ? FROM calls | SELECT 1 AS x, ? AS y | SELECT * FROM calls WHERE ? | SELECT * FROM calls PREWHERE ? | SELECT 1 FROM calls HAVING ?
SELECT agent FROM calls GROUP BY agent, ? | SELECT agent FROM calls GROUP BY GROUPING SETS ((agent), (?)) | SELECT agent FROM calls GROUP BY agent WITH ROLLUP HAVING ?
SELECT agent FROM calls ORDER BY ? DESC NULLS LAST COLLATE 'en' | SELECT offset FROM calls ORDER BY offset WITH FILL FROM ? TO 5 STEP 1
SELECT offset FROM calls ORDER BY offset WITH FILL STEP ? | SELECT offset FROM calls ORDER BY offset WITH FILL STALENESS ?
SELECT offset, agent FROM calls ORDER BY offset WITH FILL INTERPOLATE (agent AS ?) | SELECT agent FROM calls LIMIT ? | SELECT agent FROM calls LIMIT 1 OFFSET ?
SELECT agent FROM calls LIMIT 1 BY ? | SELECT agent FROM calls SAMPLE 1 LIMIT ? | SELECT DISTINCT ON (?) agent FROM calls | SELECT TOP 5 ? FROM calls
SELECT agent FROM calls QUALIFY ? | SELECT sum(offset) OVER (PARTITION BY ?) FROM calls | SELECT sum(offset) OVER (ORDER BY ?) FROM calls
SELECT sum(offset) OVER (ORDER BY offset ROWS BETWEEN ? PRECEDING AND CURRENT ROW) FROM calls | SELECT sum(offset) OVER w FROM calls WINDOW w AS (PARTITION BY ?)
SELECT x FROM calls ARRAY JOIN [?] AS x | SELECT x FROM calls LEFT ARRAY JOIN chain AS c, [?] AS x | SELECT 1 FROM calls a JOIN calls b ON a.agent = b.agent AND ?
SELECT 1 FROM calls a, calls b WHERE ? | SELECT CASE WHEN ? THEN 1 ELSE 2 END FROM calls | SELECT CASE agent WHEN 'a' THEN ? END FROM calls | SELECT if(?, 1, 2) FROM calls
SELECT ? ? 1 : 2 FROM calls | SELECT [?] FROM calls | SELECT (?, 1) FROM calls | SELECT map('a', ?) FROM calls | SELECT arrayMap(x -> ?, [1]) FROM calls
SELECT CAST(? AS String) FROM calls | SELECT (?)::String FROM calls | SELECT NOT ? FROM calls | SELECT 1 BETWEEN 0 AND ? FROM calls | SELECT agent LIKE toString(?) FROM calls
SELECT quantile(?)(offset) FROM calls | SELECT sumIf(offset, ?) FROM calls | SELECT sum(offset) FILTER (WHERE ?) FROM calls | SELECT count(DISTINCT ?) FROM calls
SELECT * REPLACE (? AS agent) FROM calls | SELECT COLUMNS(agent) APPLY(x -> ?) FROM calls | SELECT COLUMNS(agent) APPLY x -> ? FROM calls | SELECT COLUMNS(agent) APPLY(quantile(?)) FROM calls
WITH ? AS y SELECT y FROM calls | WITH c AS (SELECT ? FROM calls) SELECT * FROM c | WITH (SELECT ? FROM calls) AS y SELECT y | WITH x -> ? AS f SELECT f(1) FROM calls
SELECT * FROM (SELECT ? FROM calls) | SELECT (SELECT ? FROM calls LIMIT 1) | SELECT EXISTS(SELECT ? FROM calls) | SELECT 1 IN (SELECT ? FROM calls)
SELECT 1 UNION ALL SELECT ? FROM calls | SELECT 1 INTERSECT SELECT ? FROM calls | SELECT * FROM view(SELECT ? FROM calls) | SELECT * FROM numbers(?)
SELECT * FROM of_agent(agent = toString(?)) | SELECT INTERVAL ? DAY | SELECT EXTRACT(YEAR FROM toDate(?)) | SELECT substring('a' FROM ? FOR 1) | SELECT trim(BOTH toString(?) FROM 'a')
SELECT chain[?] FROM calls | SELECT dateDiff('day', now(), toDateTime(?)) | SELECT now() + INTERVAL toUInt8(?) DAY | SELECT x.1 FROM (SELECT (?, 1) AS x FROM calls)
SELECT 1 SETTINGS output_format_json_quote_64bit_integers = ? | EXPLAIN SELECT ? FROM calls | EXPLAIN QUERY TREE SELECT ? FROM calls | EXPLAIN SYNTAX SELECT ? FROM calls
EXPLAIN PIPELINE SELECT ? FROM calls | EXPLAIN AST SELECT ? FROM calls | DESCRIBE (SELECT ? FROM calls) | SHOW TABLES WHERE ? | SHOW TABLES LIKE ? | SHOW TABLES LIMIT ? | SHOW COLUMNS FROM calls WHERE ?
`
  .split(/[|\n]/)
  .map(place => place.trim())
  .filter(place => place !== '')

const forbidden = () => [
  `file('${secret}') = '1'`,
  `'${secretText}' IN other.secrets`,
  `(SELECT count() FROM other.secrets) = 1`,
  `arrayExists(file, ['${secret}'])`,
]

/** Syntax, readonly, access, table function by readonly, own doubts. Never 0, never another's success. */
const refusals = ['62', '164', '497', '36', '60']

test('every legitimate question of an analyst is answered', async t => {
  const sluice = await ask(
    'CREATE TABLE by_tool_names ENGINE = Memory AS SELECT DISTINCT tool FROM calls',
    {},
    'sluice',
  )
  assert.equal(sluice.code, null, sluice.text)
  for (const [query, answer, settings] of legitimate) {
    const got = await ask(query, settings)
    t.diagnostic(got.code === null ? 'ok' : `${query} → ${got.text}`)
    assert.equal(got.code, null, `${query}\n${got.text}`)
    if (answer !== undefined) assert.equal(got.text, answer, query)
  }
})

test('the questions tools ask at start are answered, and every column can be asked for', async () => {
  for (const query of startUp) assert.equal((await ask(query)).code, null, query)
  const named = await ask(`SELECT ${columns.map(name => `1 AS ${name}`).join(', ')} FORMAT JSONEachRow`)
  assert.equal(named.code, null, named.text)
})

test('time, memory and rows of an analyst are limited', async () => {
  const started = performance.now()
  const slow = await ask('SELECT count() FROM numbers(1e13) WHERE cityHash64(number) % 7 = 1')
  assert.equal(slow.code, '159', slow.text)
  assert.ok(performance.now() - started < 6000)
  assert.equal((await ask('SELECT length(range(100000000))')).code, '241')
  assert.equal((await ask('SELECT number FROM numbers(200000)', { wait_end_of_query: '1' })).code, '396')
  const cut = await ask('SELECT number FROM numbers(200000)', { max_result_rows: '10', result_overflow_mode: 'break' })
  assert.equal(cut.code, null)
})

test('a new engine brings no function that nobody judged', async () => {
  // Let in: computing functions only. When this fails, read the new names before changing the number.
  const { text } = await ask(
    'SELECT count(), groupBitXor(cityHash64(name, categories, alias_to)) FROM system.functions FORMAT TSV',
  )
  assert.equal(text.trim(), '1825\t2877494409085973321')
})

test('no place in a statement is out of sight', async () => {
  for (const place of places) {
    const harmless = await ask(place.replaceAll('?', "(agent = '1')"))
    for (const expression of forbidden()) {
      const query = place.replaceAll('?', `(${expression})`)
      const got = await ask(query)
      assert.ok(['497', '164', '62', '467'].includes(got.code ?? ''), `${query} was answered ${got.status} ${got.text}`)
      // 467: a setting's value that is none. A syntax error proves nothing, unless the harmless expression is one there as well.
      assert.ok(got.code !== '62' || harmless.code === '62', `${query} ${got.text}`)
    }
  }
})

test('every attack is refused and leaves nothing', async () => {
  const state = async () => {
    const tables = await ask(
      "SELECT database, name, total_rows FROM system.tables WHERE database NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA') ORDER BY ALL",
      {},
      'sluice',
    )
    const functions = await ask("SELECT count() FROM system.functions WHERE origin != 'System'", {}, 'sluice')
    return tables.text + functions.text
  }
  const before = await state()
  for (const [query, settings] of attacks()) {
    const got = await ask(query, settings)
    assert.ok(
      got.code !== null && refusals.includes(got.code),
      `${query} ${JSON.stringify(settings)} was answered ${got.status} ${got.text}`,
    )
    assert.ok(!got.text.includes(secretText), `${query} showed the secret`)
    assert.ok(!existsSync(written), `${query} wrote a file`)
  }
  assert.equal(await state(), before)
  assert.equal(readFileSync(secret, 'utf8'), `${secretText},1\n`)
})
