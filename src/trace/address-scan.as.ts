/**
 * AssemblyScript: addresses of version 4 in text, for the scanners of bytes. Where the dots are is looked up, and gives the place of every
 * digit; then all four parts are numbers at once. Tables lie where the scanner has room for them: `forms` (64 KiB) has the number of a form
 * by the places of its dots, `shapes` (82 times 32 bytes) where the digits of its parts are, and the least value of each part.
 */

/** The address of `size` bytes of text; -1 where it is none. Reads 16 bytes. */
export function readAddress4(begin: usize, size: u32, forms: usize, shapes: usize): i64 {
  if (size > 15) return -1;
  const text = v128.load(begin);
  const dots = <u32>i8x16.bitmask(i8x16.eq(text, i8x16.splat(46)));
  // The parts by their ends, as if another dot were behind the last one.
  const form = <usize>load<u8>(forms + ((dots & ((1 << size) - 1)) | (1 << size)));
  if (form == 0) return -1;
  const shape = shapes + (form << 5);
  // Each part in four bytes, the last digit last.
  const digits = i8x16.swizzle(v128.xor(text, i8x16.splat(48)), v128.load(shape));
  const parts = i32x4.add(
    i32x4.dot_i16x8_s(v128.and(digits, i16x8.splat(0xff)), i32x4.splat(10 << 16)),
    i32x4.dot_i16x8_s(i16x8.shr_u(digits, 8), i32x4.splat((1 << 16) | 100)),
  );
  const odd = v128.or(
    i8x16.gt_u(digits, i8x16.splat(9)),
    // A leading zero is octal to some.
    v128.or(i32x4.gt_s(parts, i32x4.splat(255)), i32x4.lt_s(parts, v128.load(shape + 16))),
  );
  if (v128.any_true(odd)) return -1;
  const packed = i8x16.swizzle(parts, i8x16(12, 8, 4, 0, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
  return <i64>(<u32>i32x4.extract_lane(packed, 0));
}

/** Notes the 81 forms of an address, one to three digits a part. Called once. */
export function prepareAddresses(forms: usize, shapes: usize): void {
  for (let form: i32 = 0; form < 81; form++) {
    const shape = shapes + <usize>((form + 1) << 5);
    let place = 0;
    let dots: u32 = 0;
    let rest = form;
    for (let part: usize = 0; part < 4; part++) {
      const size = 1 + (rest % 3);
      rest /= 3;
      for (let index = 0; index < 4; index++) {
        const isDigit = index >= 4 - size;
        store<u8>(shape + part * 4 + <usize>index, isDigit ? <u8>(place + index - 4 + size) : <u8>0x80);
      }
      store<i32>(shape + 16 + part * 4, size == 1 ? 0 : size == 2 ? 10 : 100);
      place += size;
      dots |= 1 << place;
      place++;
    }
    store<u8>(forms + <usize>dots, <u8>(form + 1));
  }
}
