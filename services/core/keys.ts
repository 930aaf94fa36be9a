import { idOfListedKey, type KeyOwner, type KeyView } from '../../schemas/agent-key.ts'
import type { AgentPolicy } from '../../schemas/policy.ts'

/** The keys that the file lists under their agents, found by their SHA-256 in hex. */
export function listedKeys(agents: ReadonlyMap<string, Pick<AgentPolicy, 'keys'>>): KeyView {
  const owners = new Map<string, KeyOwner>()
  for (const [agent, { keys }] of agents)
    for (const key of keys) {
      const hash = key.slice('sha256:'.length)
      owners.set(hash, { agent, keyId: idOfListedKey(hash) })
    }
  return { find: hash => owners.get(hash) }
}
