-- What the enforcer decided about somebody: kill, pause, resume, backoff. A signal's id says what caused it, so one that is
-- decided again after a crash has the same id and shows once.
CREATE VIEW IF NOT EXISTS signals
(
  ts DateTime64(3, 'UTC') COMMENT 'When it was decided',
  type LowCardinality(String) COMMENT 'kill, pause, resume, backoff, alert',
  scope String COMMENT 'Whom it is about, e.g. run:r1 or agent:researcher',
  run_id String COMMENT 'Run it is about, where it is about one',
  agent LowCardinality(String) COMMENT 'Agent it is about',
  rule LowCardinality(String) COMMENT 'Rule that decided',
  action LowCardinality(String) COMMENT 'What the rule does: alert, backoff, pause or kill',
  mode LowCardinality(String) COMMENT 'enforce, or shadow: what it would have done',
  evidence Array(String) COMMENT 'Ids of the events that caused it',
  policy_version LowCardinality(String) COMMENT 'Version of the policy that was in force',
  data String COMMENT 'What else the rule says, as a JSON object'
)
AS SELECT ts, type, scope, run_id, agent, rule, action, mode, evidence, policy_version, data
FROM events
WHERE kind = 'signal'
ORDER BY ts, offset
LIMIT 1 BY event_id
COMMENT 'What the enforcer decided: kill, pause, resume, backoff';
