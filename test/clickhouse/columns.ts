/** What people's dashboards and scripts rely on: the columns of each view, in order. */
export const contract = {
  calls:
    'ts org team agent user key_id session_id task labels run_id root_run_id parent_run_id depth run_source step request_id attempts chain chain_verified kind operation protocol provider model_requested model stream server tool tool_call_id observed args args_hash result result_hash result_bytes result_empty input_tokens output_tokens cache_read_tokens cache_write_tokens reasoning_tokens usage_source cost_nano_usd price_version outcome reason http_status upstream_status finish_reason error_type latency_ms ttft_ms gateway_us queue_us decision rule policy_version event_id topic partition offset',
  runs: 'run_id root_run_id parent_run_id depth run_source org team agent user task labels state reason started_at last_at ended_at steps llm_calls tool_calls errors children input_tokens output_tokens cost_nano_usd tree_cost_nano_usd limit_nano_usd',
  signals: 'ts type scope run_id agent rule action mode evidence policy_version data',
  alerts: 'ts type scope run_id agent rule action mode evidence policy_version data',
  otel_traces:
    'Timestamp TraceId SpanId ParentSpanId TraceState SpanName SpanKind ServiceName ResourceAttributes ScopeName ScopeVersion SpanAttributes Duration StatusCode StatusMessage Events.Timestamp Events.Name Events.Attributes Links.TraceId Links.SpanId Links.TraceState Links.Attributes',
} as const
