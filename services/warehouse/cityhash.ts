/**
 * CityHash128 as ClickHouse froze it (1.0.2; later ones differ): the checksum in front of every compressed block,
 * on disk and on the wire. Drivers verify it. All arithmetic is modulo 2^64; the engine of JavaScript keeps such
 * BigInts in registers as long as every step is cut to 64 bits.
 */
export function cityHash128(bytes: Uint8Array): readonly [low: bigint, high: bigint] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const size = bytes.length
  if (size >= 16) return seeded(view, 16, at(view, 0) ^ k3, at(view, 8))
  if (size >= 8) return seeded(view, size, at(view, 0) ^ mul(BigInt(size), k0), at(view, size - 8) ^ k1)
  return seeded(view, 0, k0, k1)
}

const k0 = 0xc3a5c85c97cb3127n
const k1 = 0xb492b66fbe98f273n
const k2 = 0x9ae16a3b2f90404fn
const k3 = 0xc949d7c7509e6557n
const kMul = 0x9ddfea08eb382d69n

const cut = (value: bigint): bigint => BigInt.asUintN(64, value)
const add = (a: bigint, b: bigint): bigint => BigInt.asUintN(64, a + b)
const mul = (a: bigint, b: bigint): bigint => BigInt.asUintN(64, a * b)
const rotate = (value: bigint, by: bigint): bigint => BigInt.asUintN(64, (value >> by) | (value << (64n - by)))
const mix = (value: bigint): bigint => value ^ (value >> 47n)
const at = (view: DataView, offset: number): bigint => view.getBigUint64(offset, true)

function pair(u: bigint, v: bigint): bigint {
  const a = mix(mul(u ^ v, kMul))
  return mul(mix(mul(v ^ a, kMul)), kMul)
}

/** Hashes `view` from `start` on. */
function seeded(view: DataView, start: number, low: bigint, high: bigint): readonly [bigint, bigint] {
  return view.byteLength - start < 128 ? short(view, start, low, high) : long(view, start, low, high)
}

function short(view: DataView, start: number, low: bigint, high: bigint): readonly [bigint, bigint] {
  const size = view.byteLength - start
  const end = view.byteLength
  let [a, b] = [low, high]
  let c: bigint
  let d: bigint
  if (size <= 16) {
    a = mul(mix(mul(a, k1)), k1)
    c = add(mul(b, k1), upTo16(view, start))
    d = mix(add(a, size >= 8 ? at(view, start) : c))
  } else {
    c = pair(add(at(view, end - 8), k1), a)
    d = pair(add(b, BigInt(size)), add(c, at(view, end - 16)))
    a = add(a, d)
    for (let left = size - 16, from = start; left > 0; left -= 16, from += 16) {
      a = mul(a ^ mul(mix(mul(at(view, from), k1)), k1), k1)
      b ^= a
      c = mul(c ^ mul(mix(mul(at(view, from + 8), k1)), k1), k1)
      d ^= c
    }
  }
  const e = pair(a, c)
  const f = pair(d, b)
  return [e ^ f, pair(f, e)]
}

function upTo16(view: DataView, start: number): bigint {
  const size = view.byteLength - start
  const end = view.byteLength
  const length = BigInt(size)
  if (size > 8) {
    const last = at(view, end - 8)
    return pair(at(view, start), rotate(add(last, length), length)) ^ last
  }
  if (size >= 4) return pair(length + BigInt(view.getUint32(start, true)) * 8n, BigInt(view.getUint32(end - 4, true)))
  if (size === 0) return k2
  const y = BigInt(view.getUint8(start) + view.getUint8(start + (size >> 1)) * 256)
  const z = BigInt(size + view.getUint8(end - 1) * 4)
  return mul(mix(mul(y, k2) ^ mul(z, k3)), k2)
}

function long(view: DataView, start: number, low: bigint, high: bigint): readonly [bigint, bigint] {
  const size = view.byteLength - start
  let x = low
  let y = high
  let z = mul(BigInt(size), k1)
  let v0 = add(mul(rotate(y ^ k1, 49n), k1), at(view, start))
  let v1 = add(mul(rotate(v0, 42n), k1), at(view, start + 8))
  let w0 = add(mul(rotate(add(y, z), 35n), k1), x)
  let w1 = mul(rotate(add(x, at(view, start + 88)), 53n), k1)
  // 64 bytes a round, two rounds at a time.
  const rounds = Math.floor(size / 128) * 2
  let from = start
  for (let round = 0; round < rounds; round += 1) {
    x = mul(rotate(cut(x + y + v0 + at(view, from + 16)), 37n), k1) ^ w1
    y = mul(rotate(cut(y + v1 + at(view, from + 48)), 42n), k1) ^ v0
    z = rotate(z ^ w0, 33n)
    // Two times the same weak hash of 32 bytes, written out: a function would have to return pairs.
    let a = add(mul(v1, k1), at(view, from))
    let b = rotate(cut(x + w0 + a + at(view, from + 24)), 21n)
    let c = cut(a + at(view, from + 8) + at(view, from + 16))
    v1 = cut(b + rotate(c, 44n) + a)
    v0 = add(c, at(view, from + 24))
    a = cut(z + w1 + at(view, from + 32))
    b = rotate(cut(y + a + at(view, from + 56)), 21n)
    c = cut(a + at(view, from + 40) + at(view, from + 48))
    w1 = cut(b + rotate(c, 44n) + a)
    w0 = add(c, at(view, from + 56))
    const swapped = z
    z = x
    x = swapped
    from += 64
  }
  y = cut(y + mul(rotate(w0, 37n), k0) + z)
  x = add(x, mul(rotate(add(v0, z), 49n), k0))
  // What is left, in pieces of 32 bytes from the end; the last one reaches back into what was hashed already.
  const left = size - rounds * 64
  for (let done = 32; done < left + 32; done += 32) {
    const piece = view.byteLength - done
    y = add(mul(rotate(cut(y - x), 42n), k0), v1)
    w0 = add(w0, at(view, piece + 16))
    x = add(mul(rotate(x, 49n), k0), w0)
    w0 = add(w0, v0)
    const a = add(v0, at(view, piece))
    const b = rotate(cut(v1 + a + at(view, piece + 24)), 21n)
    const c = cut(a + at(view, piece + 8) + at(view, piece + 16))
    v1 = cut(b + rotate(c, 44n) + a)
    v0 = add(c, at(view, piece + 24))
  }
  x = pair(x, v0)
  y = pair(y, w0)
  return [add(pair(add(x, v1), w1), y), pair(add(x, w1), add(y, v1))]
}
