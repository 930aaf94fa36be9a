import { startStack } from '../../test/support/stack.ts'
import { agentOf, ask, configOf, type Try } from './agents.ts'
import { ms, type Promised, shown } from './promise.ts'
import { prices, startProvider } from './provider.ts'

const timeoutMs = 1_000

/** A provider that answers 500s, one that says nothing, and one that is not there. */
export const failing: Promised = {
  name: 'failing',
  says: 'a provider that answers 500s: the call fails over or fails cleanly, and never hangs',
  show: async trial => {
    const [bad, good] = [await startProvider(), await startProvider({ reliable: true })]
    trial.after(bad.close)
    trial.after(good.close)
    const agent = agentOf('caller')
    const providers = Object.fromEntries(
      [
        ['bad', bad.origin],
        ['good', good.origin],
        ['gone', 'http://127.0.0.1:9'],
      ].map(([name, origin]) => [name, { protocol: 'openai', baseUrl: `${origin}/v1`, apiKey: 'sk-none', prices }]),
    )
    const retry = { attempts: 2, baseMs: 20, maxMs: 50 }
    const routes = [
      { models: ['scripted-over'], targets: [{ provider: 'bad' }], fallback: [{ provider: 'good' }], retry },
      { models: ['scripted-gone'], targets: [{ provider: 'gone' }], fallback: [{ provider: 'good' }], retry },
      { models: ['scripted-alone'], targets: [{ provider: 'bad' }], retry, timeoutMs },
    ]
    const config = configOf(bad.origin, [agent], { providers, routes })
    const stack = await startStack({ config })
    trial.after(stack.close)
    const url = stack.told('Gateway')
    const clean = ({ status, code, how, headers }: Try, wanted: number): boolean =>
      status === wanted && how === 'whole' && code.startsWith('upstream_') && headers['retry-after'] !== undefined
    const over = await ask(url, agent, { model: 'scripted-over', status: 500 })
    const failedOver = good.books.some(entry => entry.call === over.call)
    const gone = await ask(url, agent, { model: 'scripted-gone' })
    const alone = await ask(url, agent, { model: 'scripted-alone', status: 500 })
    const silent = await ask(url, agent, { model: 'scripted-alone', waitMs: 30_000 })
    const broken = await ask(url, agent, { model: 'scripted-alone', stream: true, say: 50, everyMs: 3_000 })
    trial.note(
      'answers',
      [over, gone, alone, silent, broken].map(one => [one.status, one.code, one.error]),
    )
    const took = (one: Try): string => `${one.status} ${one.code} in ${ms(one.endedAt - one.sentAt)}`
    const tries = bad.books.filter(entry => entry.call === alone.call).length
    return [
      shown('500s, another provider behind it: fails over', `${took(over)}`, failedOver),
      shown('no provider at that address, another behind it: fails over', took(gone), gone.status === 200),
      shown(`500s, nobody behind it: fails cleanly (${tries} tries)`, took(alone), clean(alone, 502) && tries === 2),
      shown(
        `says nothing, timeoutMs ${timeoutMs}: does not hang`,
        took(silent),
        clean(silent, 504) && silent.endedAt - silent.sentAt < 2 * retry.attempts * timeoutMs + 3_000,
      ),
      shown(
        'falls silent in a stream: ends with the error',
        `${broken.code} after ${ms(broken.endedAt - broken.sentAt)}`,
        broken.how === 'whole' && broken.code === 'upstream_timeout',
      ),
    ]
  },
}
