-- Every record of the log that the sink reads, one row each, append-only. All else (calls, runs, signals, spend, traces)
-- is a view of it or is filled from it.
--
-- Sorted by kind, agent, time: "what did agent X do in the last hour" reads one granule. What is asked by id (a run, a
-- request, a trace) goes through bloom filters. A day is a part, so old days go as whole files.
CREATE TABLE IF NOT EXISTS events
(
  topic LowCardinality(String) COMMENT 'Topic of the log that the record stands on',
  partition UInt32 COMMENT 'Partition of the topic',
  offset UInt64 COMMENT 'Place in the partition; topic, partition and offset name a record for good' CODEC(Delta, ZSTD(1)),
  event_id String COMMENT 'Deterministic id: producer.epoch.sequence, or the id a foreign producer gave' CODEC(ZSTD(1)),
  producer LowCardinality(String) COMMENT 'Process that wrote the event',
  epoch UInt64 COMMENT 'Life of the producer, rising by one with each start' CODEC(ZSTD(1)),
  sequence UInt64 COMMENT 'How-manieth event of this life, from 0' CODEC(Delta, ZSTD(1)),
  type LowCardinality(String) COMMENT 'What happened, e.g. llm.completed; record.unreadable stands for a record that is in sluice.deadletters',
  ts DateTime64(3, 'UTC') COMMENT 'When it happened, by the clock of the producer' CODEC(Delta, ZSTD(1)),
  source LowCardinality(String) COMMENT 'CloudEvents source: who tells it',

  org LowCardinality(String) COMMENT 'Organisation the agent belongs to',
  team LowCardinality(String) COMMENT 'Team the agent belongs to',
  agent LowCardinality(String) COMMENT 'Agent whose work this is',
  user String COMMENT 'Human on whose behalf the agent acts' CODEC(ZSTD(1)),
  key_id LowCardinality(String) COMMENT 'Public part of the key that was used, never the key',
  session_id String COMMENT 'Session as the client named it' CODEC(ZSTD(1)),
  task String COMMENT 'Task as the client named it' CODEC(ZSTD(1)),
  labels Map(LowCardinality(String), String) COMMENT 'Labels of the client' CODEC(ZSTD(1)),
  run_id String COMMENT 'Run the event belongs to' CODEC(ZSTD(1)),
  root_run_id String COMMENT 'Run at the root of the tree' CODEC(ZSTD(1)),
  parent_run_id String COMMENT 'Run that spawned this one; empty for a root' CODEC(ZSTD(1)),
  ancestors Array(String) COMMENT 'Runs above this one, root first' CODEC(ZSTD(1)),
  depth UInt16 COMMENT 'Number of runs above this one',
  run_source LowCardinality(String) COMMENT 'How the request was found to belong to its run, e.g. header, traceparent, conversation',
  step UInt32 COMMENT 'Model call of the run in order of arrival, from 1; 0 where there is none' CODEC(T64, ZSTD(1)),
  request_id String COMMENT 'Request that the client was answered with' CODEC(ZSTD(1)),
  trace_id String COMMENT 'W3C trace id of the caller' CODEC(ZSTD(1)),
  parent_span_id String COMMENT 'W3C span id of the caller' CODEC(ZSTD(1)),
  chain Array(LowCardinality(String)) COMMENT 'Delegation, outermost first',
  chain_verified Bool COMMENT 'Whether the delegation was proved by a token',
  policy_version LowCardinality(String) COMMENT 'Version of the policy that was in force',

  operation LowCardinality(String) COMMENT 'OpenTelemetry gen_ai.operation.name: chat, embeddings, execute_tool, invoke_agent; also count_tokens',
  protocol LowCardinality(String) COMMENT 'openai, anthropic, gemini, bedrock, cohere, mcp or a2a',
  provider LowCardinality(String) COMMENT 'Provider that answered, as it is named in the configuration',
  model_requested LowCardinality(String) COMMENT 'Model the client asked for',
  model LowCardinality(String) COMMENT 'Model that answered, in the provider''s words',
  stream Bool COMMENT 'Whether the client asked for a stream',
  response_id String COMMENT 'The provider''s id of its answer' CODEC(ZSTD(1)),
  server LowCardinality(String) COMMENT 'Tool server',
  tool LowCardinality(String) COMMENT 'Tool that was called',
  tool_call_id String COMMENT 'Id of the tool call in the conversation' CODEC(ZSTD(1)),
  observed LowCardinality(String) COMMENT 'Where it was seen: gateway, conversation or reported',
  peer_agent LowCardinality(String) COMMENT 'Agent that was called by this one',

  args String COMMENT 'Arguments, as much as the policy lets be captured, redacted' CODEC(ZSTD(3)),
  args_hash String COMMENT 'Hash of the canonical arguments: equal calls have equal hashes' CODEC(ZSTD(1)),
  result String COMMENT 'Result, as much as the policy lets be captured, redacted' CODEC(ZSTD(3)),
  result_hash String COMMENT 'Hash of the whole result' CODEC(ZSTD(1)),
  result_bytes Nullable(UInt64) COMMENT 'Size of the whole result' CODEC(ZSTD(1)),
  result_empty Nullable(Bool) COMMENT 'Whether the result held nothing',

  input_tokens Nullable(UInt64) COMMENT 'Input tokens, cached ones included; NULL where nobody knows' CODEC(ZSTD(1)),
  output_tokens Nullable(UInt64) COMMENT 'Output tokens, reasoning included; NULL where nobody knows' CODEC(ZSTD(1)),
  cache_read_tokens Nullable(UInt64) COMMENT 'Input tokens read from the provider''s cache' CODEC(ZSTD(1)),
  cache_write_tokens Nullable(UInt64) COMMENT 'Input tokens written to the provider''s cache' CODEC(ZSTD(1)),
  reasoning_tokens Nullable(UInt64) COMMENT 'Output tokens spent on reasoning' CODEC(ZSTD(1)),
  usage_source LowCardinality(String) COMMENT 'Who counted the tokens: provider, counted or estimated',
  cost_nano_usd Nullable(Int64) COMMENT 'Cost in nano-dollars (1e-9 USD); NULL where there is no price' CODEC(ZSTD(1)),
  price_version LowCardinality(String) COMMENT 'Price list that the cost was reckoned with',
  bound_input_tokens Nullable(UInt64) COMMENT 'At admission: input tokens the call can use at most' CODEC(ZSTD(1)),
  bound_output_tokens Nullable(UInt64) COMMENT 'At admission: output tokens the call can use at most' CODEC(ZSTD(1)),
  bound_nano_usd Nullable(Int64) COMMENT 'At admission: what the call can cost at most, in nano-dollars' CODEC(ZSTD(1)),
  limit_nano_usd Nullable(Int64) COMMENT 'Cap of the run in nano-dollars' CODEC(ZSTD(1)),

  outcome LowCardinality(String) COMMENT 'success, error, blocked, killed, cancelled or unanswered',
  reason LowCardinality(String) COMMENT 'Code of the refusal or of the failure; why a run changed state',
  http_status Nullable(UInt16) COMMENT 'Status the client was answered with',
  upstream_status Nullable(UInt16) COMMENT 'Status of the upstream''s last answer',
  finish_reason LowCardinality(String) COMMENT 'Why the model stopped, in the provider''s words',
  error_type LowCardinality(String) COMMENT 'Kind of error, in the provider''s words',
  attempts UInt16 COMMENT 'Upstream attempts that were made for the request',
  latency_ms Nullable(Float64) COMMENT 'Request in to answer out, milliseconds' CODEC(ZSTD(1)),
  ttft_ms Nullable(Float64) COMMENT 'Request in to first content out, milliseconds' CODEC(ZSTD(1)),
  gateway_us Nullable(UInt64) COMMENT 'Part of the latency that the gateway itself took, microseconds' CODEC(ZSTD(1)),
  queue_us Nullable(UInt64) COMMENT 'Part of the latency spent waiting for admission, microseconds' CODEC(ZSTD(1)),
  decision LowCardinality(String) COMMENT 'allow or deny',
  rule LowCardinality(String) COMMENT 'Rule of the policy that decided',

  scope String COMMENT 'Whom a signal or an alert is about, e.g. run:r1 or agent:researcher' CODEC(ZSTD(1)),
  action LowCardinality(String) COMMENT 'What the rule or the guardrail does: alert, backoff, pause, kill, redact, block',
  mode LowCardinality(String) COMMENT 'enforce, or shadow: what it would have done',
  evidence Array(String) COMMENT 'Ids of the events that caused it' CODEC(ZSTD(1)),
  actor String COMMENT 'Who asked for it' CODEC(ZSTD(1)),
  `on` LowCardinality(String) COMMENT 'Text that the guardrail read: llm.request, llm.response, tool.call or tool.result',
  detect LowCardinality(String) COMMENT 'What the guardrail looks for',
  `count` UInt32 COMMENT 'How often the guardrail found it',
  data String COMMENT 'What has no column, as a JSON object; of a model call: usage as the provider told it, and each attempt' CODEC(ZSTD(3)),

  stored_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'When the row came into this table' CODEC(Delta, ZSTD(1)),
  kind LowCardinality(String) MATERIALIZED multiIf(
    topic = 'sluice.alerts', 'alert',
    topic = 'sluice.ledger', 'ledger',
    topic = 'sluice.control', if(position(type, '.') = 0, 'signal', 'control'),
    topic != 'sluice.events', 'other',
    type = 'llm.completed', 'llm',
    type = 'tool.returned', 'tool',
    type = 'agent.returned', 'agent',
    type != 'admission.refused', type,
    operation = 'execute_tool', 'tool',
    operation = 'invoke_agent', 'agent',
    'llm'
  ) COMMENT 'llm, tool or agent for the one row of a call that ended or was refused; else alert, signal, control, ledger or the type itself',
  started_at DateTime64(3, 'UTC') MATERIALIZED ts - toIntervalMillisecond(toInt64(least(ifNull(latency_ms, 0), 2592000000)))
    COMMENT 'When the call began: ts less its latency' CODEC(Delta, ZSTD(1)),

  INDEX by_run run_id TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX by_root root_run_id TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX by_request request_id TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX by_otel_trace lower(hex(MD5(root_run_id))) TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX by_offset offset TYPE minmax GRANULARITY 1,
  INDEX by_start started_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (kind, agent, ts)
TTL toDateTime(ts) + toIntervalDay({retention_days}) DELETE
-- The window is what makes a batch that is inserted again after a crash count once. Only batches in flight are ever
-- repeated, a handful per partition; 10,000 leaves room for batches that span many days (each day of a batch is an entry).
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 10000
COMMENT 'Every event of the log, one row each, append-only';
