/**
 * Counts by label for what happens in each request. A client of Prometheus puts the labels together and hashes them each
 * time; here they are steps down a tree, and become text when Prometheus asks.
 */
export type Label = string | number

export type Counter = { add(by: number, ...labels: readonly Label[]): void; text(): string }
/** `value` in the unit of the buckets. */
export type Histogram = { observe(value: number, ...labels: readonly Label[]): void; text(): string }

type About = { readonly name: string; readonly help: string; readonly labels: readonly string[] }

export function counter(about: About): Counter {
  const counts = new Tally(about.labels.length, () => ({ sum: 0 }))
  return {
    add(by, ...labels) {
      counts.of(labels).sum += by
    },
    text: () =>
      textOf(
        about,
        'counter',
        counts.all().map(([values, { sum }]) => line(about.name, about.labels, values, sum)),
      ),
  }
}

/** `bounds`: the upper ends of the buckets, rising. */
export function histogram(about: About & { readonly bounds: readonly number[] }): Histogram {
  const { name, labels, bounds } = about
  const counts = new Tally(labels.length, () => ({ within: bounds.map(() => 0), sum: 0, count: 0 }))
  return {
    observe(value, ...values) {
      const cell = counts.of(values)
      cell.sum += value
      cell.count++
      const bucket = bounds.findIndex(bound => value <= bound)
      if (bucket >= 0) cell.within[bucket] = (cell.within[bucket] ?? 0) + 1
    },
    text: () =>
      textOf(
        about,
        'histogram',
        counts.all().flatMap(([values, { within, sum, count }]) => {
          let below = 0
          return [
            ...bounds.map((bound, i) => {
              below += within[i] ?? 0
              return line(`${name}_bucket`, [...labels, 'le'], [...values, bound], below)
            }),
            line(`${name}_bucket`, [...labels, 'le'], [...values, '+Inf'], count),
            line(`${name}_sum`, labels, values, sum),
            line(`${name}_count`, labels, values, count),
          ]
        }),
      ),
  }
}

type Branch<Cell> = Map<Label, Branch<Cell> | Cell>

/** As many cells as there are combinations of labels, which whoever counts keeps bounded. */
class Tally<Cell extends object> {
  readonly #depth: number
  readonly #make: () => Cell
  readonly #root: Branch<Cell> = new Map()

  constructor(depth: number, make: () => Cell) {
    this.#depth = depth
    this.#make = make
  }

  of(labels: readonly Label[]): Cell {
    let at: Branch<Cell> | Cell = this.#root
    for (let i = 0; i < this.#depth; i++) {
      const label = labels[i] ?? ''
      const branch: Branch<Cell> = at as Branch<Cell> // cells are at the full depth alone
      let next = branch.get(label)
      if (next === undefined) {
        next = i === this.#depth - 1 ? this.#make() : new Map()
        branch.set(label, next)
      }
      at = next
    }
    return at as Cell // for the same reason
  }

  all(): readonly (readonly [labels: readonly Label[], cell: Cell])[] {
    let level: (readonly [readonly Label[], Branch<Cell> | Cell])[] = [[[], this.#root]]
    for (let i = 0; i < this.#depth; i++)
      level = level.flatMap(([labels, at]) =>
        [...(at as Branch<Cell>)].map(([label, next]) => [[...labels, label], next] as const),
      )
    return level as (readonly [readonly Label[], Cell])[]
  }
}

const textOf = ({ name, help }: About, type: string, lines: readonly string[]): string =>
  [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ''].join('\n')

function line(name: string, labels: readonly string[], values: readonly Label[], value: number): string {
  const pairs = labels.map((label, i) => `${label}="${escaped(String(values[i] ?? ''))}"`)
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`
}

const escaped = (text: string): string => text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/"/g, '\\"')
