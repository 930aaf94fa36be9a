import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openReports } from '../../services/gateway/memory/reports.ts'

test('what an agent has told is taken once, and again where it could not be taken', () => {
  const reports = openReports()
  assert.ok(reports.first('a', '1'))
  assert.ok(!reports.first('a', '1'))
  assert.ok(reports.first('b', '1'))
  reports.forget('a', '1')
  assert.ok(reports.first('a', '1'))
  assert.ok(!reports.first('b', '1'))
})
