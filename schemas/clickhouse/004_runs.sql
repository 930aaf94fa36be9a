-- One row per run, as it is now. Filled from each event for the event's own run (`node = run_id`) and, for the cost of the
-- tree, for every run above it: a call deep in a tree is one row for each of its ancestors.
CREATE TABLE IF NOT EXISTS run_totals
(
  run_id String COMMENT 'The run',
  root_run_id SimpleAggregateFunction(max, String) COMMENT 'Run at the root of the tree',
  parent_run_id SimpleAggregateFunction(max, String) COMMENT 'Run that spawned this one; empty for a root',
  depth SimpleAggregateFunction(max, UInt16) COMMENT 'Number of runs above this one',
  opened AggregateFunction(argMinIf, Tuple(String, String, String, String), DateTime64(3, 'UTC'), UInt8) COMMENT 'run_source, org, team and agent of the first event',
  user AggregateFunction(argMaxIf, String, DateTime64(3, 'UTC'), UInt8) COMMENT 'User, as last told',
  task AggregateFunction(argMaxIf, String, DateTime64(3, 'UTC'), UInt8) COMMENT 'Task, as last told',
  labels AggregateFunction(argMaxIf, Map(LowCardinality(String), String), DateTime64(3, 'UTC'), UInt8) COMMENT 'Labels, as last told',
  change AggregateFunction(argMaxIf, Tuple(String, String), Tuple(DateTime64(3, 'UTC'), UInt64), UInt8) COMMENT 'Type and reason of the last change of state',
  started_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))) COMMENT 'Start of the first event',
  last_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))) COMMENT 'Last event',
  ended_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))) COMMENT 'Last event that ended it',
  steps SimpleAggregateFunction(max, UInt32) COMMENT 'Highest step',
  llm_calls SimpleAggregateFunction(sum, UInt64) COMMENT 'Model calls',
  tool_calls SimpleAggregateFunction(sum, UInt64) COMMENT 'Tool calls',
  errors SimpleAggregateFunction(sum, UInt64) COMMENT 'Calls with outcome error',
  children AggregateFunction(uniqExactIf, String, UInt8) COMMENT 'Runs that this one spawned',
  input_tokens SimpleAggregateFunction(sum, UInt64) COMMENT 'Input tokens that are known',
  output_tokens SimpleAggregateFunction(sum, UInt64) COMMENT 'Output tokens that are known',
  cost_nano_usd SimpleAggregateFunction(sum, Int64) COMMENT 'Cost of its own calls, nano-dollars',
  tree_cost_nano_usd SimpleAggregateFunction(sum, Int64) COMMENT 'Cost of its calls and of all runs below it, nano-dollars',
  limit_nano_usd SimpleAggregateFunction(max, Nullable(Int64)) COMMENT 'Cap of the run, nano-dollars',
  touched_at SimpleAggregateFunction(max, DateTime) COMMENT 'Last event in the run or below it; what the retention counts from'
)
ENGINE = AggregatingMergeTree
ORDER BY run_id
TTL touched_at + toIntervalDay({retention_days}) DELETE
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 10000
COMMENT 'What runs is made of: partial sums per run';

CREATE MATERIALIZED VIEW IF NOT EXISTS run_totals_feed TO run_totals
AS WITH
  node = e.run_id AS own,
  e.kind IN ('llm', 'tool', 'agent') AS is_call
SELECT
  node AS run_id,
  max(if(own, e.root_run_id, '')) AS root_run_id,
  max(if(own, e.parent_run_id, '')) AS parent_run_id,
  max(if(own, e.depth, 0)) AS depth,
  argMinIfState((toString(e.run_source), toString(e.org), toString(e.team), toString(e.agent)), e.ts, toUInt8(own AND e.agent != '')) AS opened,
  argMaxIfState(e.user, e.ts, toUInt8(own AND e.user != '')) AS user,
  argMaxIfState(e.task, e.ts, toUInt8(own AND e.task != '')) AS task,
  argMaxIfState(e.labels, e.ts, toUInt8(own AND notEmpty(e.labels))) AS labels,
  argMaxIfState((toString(e.type), toString(e.reason)), (e.ts, e.offset), toUInt8(own AND e.type IN ('run.started', 'run.paused', 'run.resumed', 'run.killed', 'run.finished', 'run.expired'))) AS change,
  min(if(own, e.started_at, NULL)) AS started_at,
  max(if(own, e.ts, NULL)) AS last_at,
  max(if(own AND e.type IN ('run.killed', 'run.finished', 'run.expired'), e.ts, NULL)) AS ended_at,
  max(if(own, e.step, 0)) AS steps,
  sum(toUInt64(own AND e.kind = 'llm')) AS llm_calls,
  sum(toUInt64(own AND e.kind = 'tool')) AS tool_calls,
  sum(toUInt64(own AND is_call AND e.outcome = 'error')) AS errors,
  uniqExactIfState(e.run_id, toUInt8(NOT own AND e.parent_run_id = node)) AS children,
  sum(if(own AND is_call, ifNull(e.input_tokens, 0), 0)) AS input_tokens,
  sum(if(own AND is_call, ifNull(e.output_tokens, 0), 0)) AS output_tokens,
  sum(if(own AND is_call, ifNull(e.cost_nano_usd, 0), 0)) AS cost_nano_usd,
  sum(if(is_call, ifNull(e.cost_nano_usd, 0), 0)) AS tree_cost_nano_usd,
  max(if(own, e.limit_nano_usd, NULL)) AS limit_nano_usd,
  max(toDateTime(e.ts)) AS touched_at
FROM events AS e
ARRAY JOIN arrayDistinct(arrayFilter(r -> r != '', arrayPushBack(if(empty(e.ancestors), [e.root_run_id, e.parent_run_id], e.ancestors), e.run_id))) AS node
WHERE e.topic = 'sluice.events' AND e.run_id != '' AND e.type != 'record.unreadable'
GROUP BY node;

CREATE VIEW IF NOT EXISTS runs
(
  run_id String COMMENT 'The run',
  root_run_id String COMMENT 'Run at the root of the tree',
  parent_run_id String COMMENT 'Run that spawned this one; empty for a root',
  depth UInt16 COMMENT 'Number of runs above this one',
  run_source String COMMENT 'How the first request was found to belong to the run',
  org String COMMENT 'Organisation of the agent',
  team String COMMENT 'Team of the agent',
  agent String COMMENT 'Agent that opened the run; empty for a run that is known only as somebody''s ancestor',
  user String COMMENT 'Human on whose behalf, as last told',
  task String COMMENT 'Task, as last told',
  labels Map(LowCardinality(String), String) COMMENT 'Labels, as last told',
  state String COMMENT 'running, paused, killed, finished or expired',
  reason String COMMENT 'Why it is in that state: a code or the name of a rule',
  started_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Start of its first call or event',
  last_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Its last event',
  ended_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it was killed, finished or expired; NULL while it is none of them',
  steps UInt32 COMMENT 'Highest step',
  llm_calls UInt64 COMMENT 'Model calls, refused ones included: its rows of kind llm in calls',
  tool_calls UInt64 COMMENT 'Tool calls: its rows of kind tool in calls',
  errors UInt64 COMMENT 'Calls with outcome error',
  children UInt64 COMMENT 'Runs that it spawned itself',
  input_tokens UInt64 COMMENT 'Input tokens of its calls, as far as known',
  output_tokens UInt64 COMMENT 'Output tokens of its calls, as far as known',
  cost_nano_usd Int64 COMMENT 'Cost of its own calls in nano-dollars, as far as priced',
  tree_cost_nano_usd Int64 COMMENT 'Cost of its calls and those of all runs below it, nano-dollars',
  limit_nano_usd Nullable(Int64) COMMENT 'Cap of the run in nano-dollars; NULL where there is none'
)
AS SELECT
  run_id, root_run_id, parent_run_id, depth,
  first.1 AS run_source, first.2 AS org, first.3 AS team, first.4 AS agent,
  user, task, labels,
  multiIf(last.1 IN ('', 'run.started', 'run.resumed'), 'running', substring(last.1, 5)) AS state,
  last.2 AS reason,
  started_at, last_at, if(state IN ('killed', 'finished', 'expired'), ended, NULL) AS ended_at,
  steps, llm_calls, tool_calls, errors, children, input_tokens, output_tokens, cost_nano_usd, tree_cost_nano_usd, limit_nano_usd
FROM
(
  SELECT
    t.run_id AS run_id,
    max(t.root_run_id) AS root_run_id,
    max(t.parent_run_id) AS parent_run_id,
    max(t.depth) AS depth,
    argMinIfMerge(t.opened) AS first,
    argMaxIfMerge(t.user) AS user,
    argMaxIfMerge(t.task) AS task,
    argMaxIfMerge(t.labels) AS labels,
    argMaxIfMerge(t.change) AS last,
    min(t.started_at) AS started_at,
    max(t.last_at) AS last_at,
    max(t.ended_at) AS ended,
    max(t.steps) AS steps,
    sum(t.llm_calls) AS llm_calls,
    sum(t.tool_calls) AS tool_calls,
    sum(t.errors) AS errors,
    uniqExactIfMerge(t.children) AS children,
    sum(t.input_tokens) AS input_tokens,
    sum(t.output_tokens) AS output_tokens,
    sum(t.cost_nano_usd) AS cost_nano_usd,
    sum(t.tree_cost_nano_usd) AS tree_cost_nano_usd,
    max(t.limit_nano_usd) AS limit_nano_usd
  FROM run_totals AS t
  GROUP BY t.run_id
)
COMMENT 'One row per run, as it is now';
