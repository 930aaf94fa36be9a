import { numbers } from './seed.ts'

/** Small enough to read, large enough for a vector store to take it. */
const USUAL_DIMENSIONS = 64
const MOST_DIMENSIONS = 4_096

/** A vector of length 1 that follows from the text; 0 asks for the usual number of dimensions. */
export const vectorOf = (text: string, dimensions: number): readonly number[] => {
  const next = numbers(text)
  const wanted = Math.min(dimensions === 0 ? USUAL_DIMENSIONS : dimensions, MOST_DIMENSIONS)
  const values = Array.from({ length: wanted }, () => next() * 2 - 1)
  const length = Math.hypot(...values)
  return values.map(value => Math.fround(value / length))
}
