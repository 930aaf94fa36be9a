/** One line of `EXPLAIN AST`: ` Function file (alias x) (children 1)` one level deep. */
export type AstNode = {
  readonly kind: string
  /** What follows the kind, without alias and count of children. */
  readonly name: string
  readonly parent?: AstNode
  readonly children: AstNode[]
}

/** The engine's own reading of a statement, as a tree. Nothing in it was run. */
export function parseAst(text: string): AstNode | undefined {
  const path: AstNode[] = []
  let root: AstNode | undefined
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const depth = line.length - line.trimStart().length
    const node = readLine(line.trimStart(), path[depth - 1])
    path.length = depth
    path.push(node)
    node.parent?.children.push(node)
    root ??= node
  }
  return root
}

function readLine(line: string, parent: AstNode | undefined): AstNode {
  const bare = line.replace(/ \(children \d+\)$/, '')
  const space = bare.indexOf(' ')
  const kind = space < 0 ? bare : bare.slice(0, space)
  // An alias comes after the name, and may itself hold anything: cut at the first.
  const rest = space < 0 ? '' : bare.slice(space + 1)
  const alias = kind === 'Literal' ? -1 : rest.indexOf('(alias ')
  const name = (alias < 0 ? rest : rest.slice(0, alias)).trim()
  return parent === undefined ? { kind, name, children: [] } : { kind, name, parent, children: [] }
}

/** Every node, parents before children. */
export function nodesOf(root: AstNode): readonly AstNode[] {
  const nodes = [root]
  // The list grows while it is walked: a loop instead of recursion, for trees as deep as the parser allows.
  for (const node of nodes) nodes.push(...node.children)
  return nodes
}
