/** Rows as columns for eyes. Widths are counted in code points; a control character would move the cursor, so none passes. */
export function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const shown = [columns, ...rows].map(row => row.map(plain))
  const widths = columns.map((_, i) => Math.max(...shown.map(row => [...(row[i] ?? '')].length)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => cell + ' '.repeat(Math.max(0, (widths[i] ?? 0) - [...cell].length)))
      .join('  ')
      .trimEnd()
  return shown.map(row => `${line(row)}\n`).join('')
}

/** Text from elsewhere as it may be shown in a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not pass
export const plain = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ')
