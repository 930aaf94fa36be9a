import { startStack } from '../../test/support/stack.ts'
import { agentOf, ask, configOf, drain } from './agents.ts'
import { usual } from './flood.ts'
import { notShown, type Promised, shown } from './promise.ts'
import { startProvider } from './provider.ts'

/** The log is folded again, and must equal the ledger, control and the tables. */
export const verify: Promised = {
  name: 'verify',
  says: 'the books can be proved',
  show: async trial => {
    const provider = await startProvider()
    trial.after(provider.close)
    const [capped, free] = [agentOf('capped', { budgets: [{ limitUsd: 0.005 }] }), agentOf('free')]
    const stack = await startStack({ config: configOf(provider.origin, [capped, free]), env: { SLUICE_WORKERS: '2' } })
    trial.after(stack.close)
    const url = stack.told('Gateway')
    const wish = () => usual(trial.chance)
    const until = performance.now() + 20_000
    const spent = await drain(url, capped, wish, until, { wide: 6 })
    await Promise.all(Array.from({ length: 20 }, () => ask(url, free, wish())))
    const { code, stdout, stderr } = await stack.cli('verify')
    const done = `sluice verify beside a live stack, after ${spent.length + 20} calls`
    if (stderr.includes('no command')) return [notShown(done, 'not there yet')]
    trial.note('sluice verify', { code, stdout, stderr })
    const last = (stdout || stderr).trim().split('\n').at(-1) ?? ''
    return [shown(done, `exit ${code}: ${last.slice(0, 80)}`, code === 0)]
  },
}
