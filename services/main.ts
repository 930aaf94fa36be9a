#!/usr/bin/env node
import { run } from './cli/run.ts'

// The only place that is handed the arguments and starts anything: everything else is told what it needs.
process.exitCode = await run(process.argv.slice(2), import.meta.filename)
