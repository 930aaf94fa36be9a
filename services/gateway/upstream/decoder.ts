import zlib from 'node:zlib'
import { Fault } from '../../io/fault.ts'
import { headerOf } from './headers.ts'

/** Answers that come compressed although nobody asked for it: what they say has to be read all the same. */
export type Encoding = 'gzip' | 'deflate' | 'br' | 'zstd'

/** An encoding although none was asked for; unknown ones are passed on unread. */
export function encodingOf(raw: readonly string[]): Encoding | null {
  const name = headerOf(raw, 'content-encoding')?.trim().toLowerCase()
  return name === 'gzip' || name === 'deflate' || name === 'br' || name === 'zstd' ? name : null
}

/** A bomb costs no more memory than the largest honest answer: beyond `maxOutputLength`, as where nothing can be read, it is empty. */
export function inflated(body: Buffer, encoding: Encoding, maxOutputLength: number): Buffer {
  const options = { maxOutputLength }
  try {
    switch (encoding) {
      case 'gzip':
        return zlib.gunzipSync(body, options)
      case 'deflate':
        return zlib.inflateSync(body, options)
      case 'br':
        return zlib.brotliDecompressSync(body, options)
      case 'zstd':
        return zlib.zstdDecompressSync(body, options)
    }
  } catch {
    return Buffer.alloc(0) // what cannot be read says nothing; the bytes pass as they came
  }
}

export type Decoder = {
  /** False: wait for `drained`. */
  write(chunk: Buffer): boolean
  /** There is room again for what was read. */
  resume(): void
  /** All is written: `ended` comes when all is read. */
  end(): void
  stop(): void
}
type Decoded = {
  /** False: wait for `resume`. */
  readonly read: (chunk: Buffer) => boolean
  readonly drained: () => void
  /** Called at most once; also where the text ends, or cannot be read, before all is written. */
  readonly ended: (fault: Fault | null) => void
}

/** Unpacks no faster than is read: a few bytes can become gigabytes. */
export function decoderOf(encoding: Encoding, to: Decoded): Decoder {
  const stream = {
    gzip: zlib.createGunzip,
    deflate: zlib.createInflate,
    br: zlib.createBrotliDecompress,
    zstd: zlib.createZstdDecompress,
  }[encoding]()
  stream.on('data', (chunk: Buffer) => {
    if (!to.read(chunk)) stream.pause()
  })
  stream.on('drain', to.drained)
  stream.on('end', () => to.ended(null))
  stream.on('error', cause =>
    to.ended(new Fault('upstream_protocol', `the upstream's ${encoding} cannot be read`, { cause })),
  )
  return {
    write: chunk => stream.write(chunk),
    resume: () => void stream.resume(),
    end: () => void stream.end(),
    stop: () => void stream.destroy(),
  }
}
