-- The movements of money: what gateways ask, settle and return, and what the enforcer grants and recalls. One row for each
-- node of the budget tree: a gateway tells of many at a time, and of each it tells running totals of its life.
CREATE VIEW IF NOT EXISTS ledger
(
  ts DateTime64(3, 'UTC') COMMENT 'When it was told, by the clock of the teller',
  type LowCardinality(String) COMMENT 'e.g. lease.requested, lease.granted, lease.settled, lease.returned, spend.corrected',
  scope String COMMENT 'Node of the budget tree',
  org LowCardinality(String) COMMENT 'Organisation',
  team LowCardinality(String) COMMENT 'Team',
  agent LowCardinality(String) COMMENT 'Agent',
  run_id String COMMENT 'Run',
  producer LowCardinality(String) COMMENT 'Gateway or enforcer that tells it',
  epoch UInt64 COMMENT 'Its life',
  cost_nano_usd Nullable(Int64) COMMENT 'Money spent, nano-dollars',
  bound_nano_usd Nullable(Int64) COMMENT 'Money held, nano-dollars',
  limit_nano_usd Nullable(Int64) COMMENT 'Cap of the node, nano-dollars',
  rule LowCardinality(String) COMMENT 'Rule that decided',
  reason LowCardinality(String) COMMENT 'Why',
  policy_version LowCardinality(String) COMMENT 'Version of the policy that was in force',
  data String COMMENT 'What has no column, as a JSON object',
  event_id String COMMENT 'Event that this row is',
  topic LowCardinality(String) COMMENT 'sluice.ledger or sluice.control',
  partition UInt32 COMMENT 'Partition of the topic',
  offset UInt64 COMMENT 'Place in the partition'
)
AS SELECT
  ts, type, if(report = '', e.scope, JSONExtractString(report, 'node')) AS scope, org, team, agent, run_id, producer, epoch,
  if(report = '', e.cost_nano_usd, JSONExtract(report, 'spent_nano_usd', 'Nullable(Int64)')) AS cost_nano_usd,
  if(report = '', e.bound_nano_usd, JSONExtract(report, 'held_nano_usd', 'Nullable(Int64)')) AS bound_nano_usd,
  limit_nano_usd, rule, reason, policy_version, if(report = '', e.data, report) AS data, event_id, topic, partition, offset
FROM events AS e
ARRAY JOIN if(JSONHas(e.data, 'reports'), JSONExtractArrayRaw(e.data, 'reports'), ['']) AS report
WHERE kind IN ('ledger', 'control')
COMMENT 'Movements of money, as gateways and the enforcer told them';
