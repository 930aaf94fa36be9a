import { idOfListedKey, type KeyOwner, type KeyView } from '../../../schemas/agent-key.ts'
import type { AgentPolicy } from '../../../schemas/policy.ts'

/** The keys that the file lists under their agents, found by their SHA-256 in hex or by their id. */
export function listedKeys(agents: ReadonlyMap<string, Pick<AgentPolicy, 'keys'>>): KeyView {
  const owners = new Map<string, KeyOwner>()
  const byId = new Map<string, KeyOwner>()
  for (const [agent, { keys }] of agents)
    for (const key of keys) {
      const hash = key.slice('sha256:'.length)
      const owner = { agent, keyId: idOfListedKey(hash) }
      owners.set(hash, owner)
      byId.set(owner.keyId, owner)
    }
  return { find: hash => owners.get(hash), byId: id => byId.get(id) }
}
