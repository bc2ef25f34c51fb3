/**
 * What is asked of every element of a columnar trace's columns, many at a time, where they lie: `binary.ts` has the same questions in
 * TypeScript. Columns need not be aligned. It works on memory that it is given, and keeps nothing in it. AssemblyScript.
 */

/** Are all bytes below a bound? */
export function areBytesBelow(at: i32, count: i32, bound: i32): bool {
  const last = at + count;
  let most = i8x16.splat(0);
  for (; at + 16 <= last; at += 16) most = i8x16.max_u(most, v128.load(at));
  let odd = v128.any_true(i8x16.ge_u(most, i8x16.splat(i8(bound))));
  for (; at < last; at++) odd = odd || load<u8>(at) >= u8(bound);
  return !odd;
}

/** Are all unsigned words below a bound? */
export function areWordsBelow(at: i32, count: i32, bound: u32): bool {
  const last = at + count * 4;
  let most = i32x4.splat(0);
  for (; at + 16 <= last; at += 16) most = i32x4.max_u(most, v128.load(at));
  let odd = v128.any_true(i32x4.ge_u(most, i32x4.splat(i32(bound))));
  for (; at < last; at += 4) odd = odd || load<u32>(at) >= bound;
  return !odd;
}

/** Are all words ports, or ICMP's type and code, or -1? */
export function arePorts(at: i32, count: i32): bool {
  const last = at + count * 4;
  const one = i32x4.splat(1);
  let most = i32x4.splat(0);
  for (; at + 16 <= last; at += 16) most = i32x4.max_u(most, i32x4.add(v128.load(at), one));
  let odd = v128.any_true(i32x4.gt_u(most, i32x4.splat(65_536)));
  for (; at < last; at += 4) odd = odd || load<u32>(at) + 1 > 65_536;
  return !odd;
}

/** Are all numbers amounts, or -1? */
export function areAmounts(at: i32, count: i32): bool {
  const last = at + count * 8;
  const least = f64x2.splat(-1);
  const most = f64x2.splat(Infinity);
  let fine = i64x2.splat(-1);
  for (; at + 16 <= last; at += 16) {
    const value = v128.load(at);
    fine = v128.and(fine, v128.and(f64x2.ge(value, least), f64x2.lt(value, most)));
  }
  let areAll = i64x2.all_true(fine);
  for (; at < last; at += 8) areAll = areAll && load<f64>(at) >= -1 && load<f64>(at) < Infinity;
  return areAll;
}

/** Are all values TCP flags, or 0xffff? */
export function areFlags(at: i32, count: i32): bool {
  const last = at + count * 2;
  const one = i16x8.splat(1);
  let most = i16x8.splat(0);
  // 0xffff and one more is 0.
  for (; at + 16 <= last; at += 16) most = i16x8.max_u(most, i16x8.add(v128.load(at), one));
  let odd = v128.any_true(i16x8.gt_u(most, i16x8.splat(0x200)));
  for (; at < last; at += 2) odd = odd || u16(load<u16>(at) + 1) > 0x200;
  return !odd;
}

/**
 * Writes the lines of rows: the first of their group's and the place of each; returns the last place, or -1 where places do not ascend. Sixteen bytes
 * behind the places are read, too.
 */
export function fillPlaces(at: i32, places: i32, count: i32, start: f64): i32 {
  const first = f64x2.splat(start);
  let areAscending = i16x8.splat(-1);
  let row = 0;
  for (; row + 8 < count; row += 8) {
    const place = v128.load(places + row * 2);
    areAscending = v128.and(areAscending, i16x8.gt_u(v128.load(places + row * 2, 2), place));
    const low = i32x4.extend_low_i16x8_u(place);
    const high = i32x4.extend_high_i16x8_u(place);
    const line = at + row * 8;
    v128.store(line, f64x2.add(first, f64x2.convert_low_i32x4_u(low)));
    v128.store(line, f64x2.add(first, f64x2.convert_low_i32x4_u(i64x2.shuffle(low, low, 1, 0))), 16);
    v128.store(line, f64x2.add(first, f64x2.convert_low_i32x4_u(high)), 32);
    v128.store(line, f64x2.add(first, f64x2.convert_low_i32x4_u(i64x2.shuffle(high, high, 1, 0))), 48);
  }
  let last = row == 0 ? -1 : i32(load<u16>(places + row * 2 - 2));
  let isFine = i16x8.all_true(areAscending);
  for (; row < count; row++) {
    const place: i32 = load<u16>(places + row * 2);
    isFine = isFine && place > last;
    last = place;
    store<f64>(at + row * 8, start + f64(place));
  }
  return isFine ? last : -1;
}

/** Of the times that were looked at last. */
let first: f64 = 0;
let last: f64 = 0;

/** Is no time farther from 1970 than `most`? NaN is no time. */
export function areTimes(at: i32, count: i32, most: f64): bool {
  const end = at + count * 8;
  let early = f64x2.splat(Infinity);
  let late = f64x2.splat(-Infinity);
  // What is NaN is neither earlier nor later.
  for (; at + 16 <= end; at += 16) {
    const value = v128.load(at);
    early = f64x2.pmin(early, value);
    late = f64x2.pmax(late, value);
  }
  first = min(f64x2.extract_lane(early, 0), f64x2.extract_lane(early, 1));
  last = max(f64x2.extract_lane(late, 0), f64x2.extract_lane(late, 1));
  for (; at < end; at += 8) {
    const value = load<f64>(at);
    if (value < first) first = value;
    if (value > last) last = value;
  }
  return first >= -most && last <= most;
}

/** The first and the last of them; Infinity and -Infinity where there are none. */
export function firstTime(): f64 {
  return first;
}
export function lastTime(): f64 {
  return last;
}

/** Numbers rows from `number` on. */
export function fillLines(at: i32, count: i32, number: f64): void {
  const end = at + count * 8;
  const two = f64x2.splat(2);
  let value = f64x2.replace_lane(f64x2.splat(number), 1, number + 1);
  for (; at + 16 <= end; at += 16) {
    v128.store(at, value);
    value = f64x2.add(value, two);
  }
  if (at < end) store<f64>(at, f64x2.extract_lane(value, 0));
}
