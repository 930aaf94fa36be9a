/** A recorded run, one line of a file of trajectories; what is not named here is not looked at. */
export type Recorded = {
  /** Of which file: coding-agents, tool-agents, intercode, react, multi-agent. */
  readonly kind: string
  readonly run_id: string
  readonly source: string
  readonly outcome: 'success' | 'failure' | 'unknown'
  readonly label: string
  readonly human_labelled?: number | boolean
  readonly facts: {
    readonly exact_loop: boolean
    /** Of calls and results; `start` is the 1-based place of its first step among the tool steps. */
    readonly cycle_calls_and_results: { readonly period: number; readonly reps: number; readonly start: number } | null
  }
  readonly steps: readonly RecordedStep[]
}

export type RecordedStep = {
  readonly i: number
  readonly kind: 'llm' | 'tool'
  readonly tool?: string
  readonly args?: string
  readonly args_sha?: string
  readonly result?: string
  readonly result_sha?: string
  readonly error?: boolean
  readonly text?: string
  readonly text_sha?: string
  readonly tokens?: { readonly in?: number | null; readonly out?: number | null; readonly cached?: number | null }
  readonly t?: string
  readonly upstream?: { readonly is_in_loop?: boolean; readonly relation_to_previous_action?: string }
}
