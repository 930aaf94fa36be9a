/** What an agent's key looks like: `slk_<id>_<secret>`. The id may be shown; the secret only ever as part of a hash. */
export type AgentKey = { readonly id: string; readonly secret: string }

/** Whose key it is. */
export type KeyOwner = { readonly agent: string; readonly keyId: string }
/** The keys that are good, found by their hash, or by the id that tokens name. */
export type KeyView = { find(hash: string): KeyOwner | undefined; byId(id: string): KeyOwner | undefined }

const form = /^slk_([A-Za-z0-9-]{1,64})_([A-Za-z0-9_-]{16,200})$/

/** Null where the text is no key of ours. Keys of other forms can still be listed in the file by their hash. */
export function parseAgentKey(text: string): AgentKey | null {
  const [, id, secret] = form.exec(text) ?? []
  return id === undefined || secret === undefined ? null : { id, secret }
}

export const formatAgentKey = ({ id, secret }: AgentKey): string => `slk_${id}_${secret}`

/** The id by which a key is known that the file lists only by its hash (64 hex digits). */
export const idOfListedKey = (hash: string): string => `file-${hash.slice(0, 12)}`
