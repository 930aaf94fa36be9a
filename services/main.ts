#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import path from 'node:path'

// Types are stripped and code is compiled once, not at each start: a tenth of a second and 15 MB less in every process.
// Beside the packages, where nobody can put anything who could not change the program itself.
enableCompileCache(path.join(import.meta.dirname, '../node_modules/.cache/sluice'))

// The only place that is handed the arguments and starts anything: everything else is told what it needs.
const { run } = await import('./cli/run.ts')
process.exitCode = await run(process.argv.slice(2), import.meta.filename)
