-- Each try at an upstream, out of the event of the call it was made for.
CREATE VIEW IF NOT EXISTS attempts
(
  ts DateTime64(3, 'UTC') COMMENT 'When the call ended',
  org LowCardinality(String) COMMENT 'Organisation the agent belongs to',
  team LowCardinality(String) COMMENT 'Team the agent belongs to',
  agent LowCardinality(String) COMMENT 'Agent that called',
  run_id String COMMENT 'Run the call belongs to',
  root_run_id String COMMENT 'Run at the root of the tree',
  step UInt32 COMMENT 'Step of the call in its run',
  request_id String COMMENT 'Request the attempt was made for',
  n UInt16 COMMENT 'Which attempt it was, from 1',
  of UInt16 COMMENT 'How many attempts the request took',
  provider LowCardinality(String) COMMENT 'Provider that was tried',
  model String COMMENT 'Model that was asked for there',
  status Nullable(UInt16) COMMENT 'HTTP status; NULL where no answer came',
  error String COMMENT 'What went wrong; empty where nothing did',
  latency_ms Nullable(Float64) COMMENT 'Start of the attempt to its end, milliseconds',
  ttfb_ms Nullable(Float64) COMMENT 'Start of the attempt to the first byte, milliseconds',
  event_id String COMMENT 'Event of the call'
)
AS SELECT
  ts, org, team, agent, run_id, root_run_id, step, request_id,
  toUInt16(JSONExtractUInt(attempt, 'n')) AS n,
  e.attempts AS of,
  CAST(JSONExtractString(attempt, 'provider'), 'LowCardinality(String)') AS provider,
  JSONExtractString(attempt, 'model') AS model,
  JSONExtract(attempt, 'status', 'Nullable(UInt16)') AS status,
  JSONExtractString(attempt, 'error') AS error,
  JSONExtract(attempt, 'latency_ms', 'Nullable(Float64)') AS latency_ms,
  JSONExtract(attempt, 'ttfb_ms', 'Nullable(Float64)') AS ttfb_ms,
  event_id
FROM events AS e
ARRAY JOIN JSONExtractArrayRaw(e.data, 'attempts') AS attempt
WHERE kind = 'llm'
COMMENT 'Upstream attempts of model calls, one row each';
