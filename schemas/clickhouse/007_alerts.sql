-- What was told to people. As with signals, an alert told again after a crash has the same id and shows once.
CREATE VIEW IF NOT EXISTS alerts
(
  ts DateTime64(3, 'UTC') COMMENT 'When it was raised',
  type LowCardinality(String) COMMENT 'budget.threshold, budget.exceeded, run.paused, run.killed, loop.detected, errors.rate, guardrail.hit or events.lost',
  scope String COMMENT 'Whom it is about, e.g. run:r1 or agent:researcher',
  run_id String COMMENT 'Run it is about, where it is about one',
  agent LowCardinality(String) COMMENT 'Agent it is about',
  rule LowCardinality(String) COMMENT 'Rule that raised it',
  action LowCardinality(String) COMMENT 'What the rule does: alert, backoff, pause or kill',
  mode LowCardinality(String) COMMENT 'enforce, or shadow: what it would have done',
  evidence Array(String) COMMENT 'Ids of the events that caused it',
  policy_version LowCardinality(String) COMMENT 'Version of the policy that was in force',
  data String COMMENT 'What else there is to say, as a JSON object; threshold from 0 to 1 for budget.threshold'
)
AS SELECT ts, type, scope, run_id, agent, rule, action, mode, evidence, policy_version, data
FROM events
WHERE kind = 'alert'
ORDER BY ts, offset
LIMIT 1 BY event_id
COMMENT 'What was told to people';
