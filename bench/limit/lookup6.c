/*
 * IPv6 address -> value of the interval that contains it: a root index over the 16 bits that follow what all starts have in common, then
 * a search without a branch over pairs of 64 bits.
 *
 *   lookup6 FOLDER PASSES SAMPLE
 *
 * FOLDER has starts6.u32 (four words each, sorted, the first all zero), values6.u32 and addresses6.u32 (four words each).
 */
#include "reference.h"

typedef struct {
  uint64_t high, low;
} Key;

#define ROOT_BITS 16

static Key keyOf(const uint32_t *words) {
  return (Key){(uint64_t)words[0] << 32 | words[1], (uint64_t)words[2] << 32 | words[3]};
}

static int isAtMost(Key a, Key b) { return a.high < b.high || (a.high == b.high && a.low <= b.low); }

int main(int argumentCount, char **arguments) {
  if (argumentCount != 4) fail("usage: lookup6", "FOLDER PASSES SAMPLE");
  const char *folder = arguments[1];
  int passes = atoi(arguments[2]);
  size_t sample = (size_t)atol(arguments[3]);
  File startFile = readFile(folder, "starts6.u32"), addressFile = readFile(folder, "addresses6.u32");
  const uint32_t *values = readFile(folder, "values6.u32").data;
  size_t intervals = startFile.bytes / 16, count = addressFile.bytes / 16;
  Key *starts = allocate(intervals, sizeof(Key));
  for (size_t index = 0; index < intervals; index++) starts[index] = keyOf((uint32_t *)startFile.data + 4 * index);

  /* Intervals 1 and up share a prefix: what lies outside of it is decided before the root is asked. */
  int common = 0;
  if (intervals > 2) {
    uint64_t difference = starts[1].high ^ starts[intervals - 1].high;
    common = difference == 0 ? 48 : __builtin_clzll(difference);
    if (common > 48) common = 48;
  }
  uint64_t prefix = common == 0 || intervals < 2 ? 0 : starts[1].high >> (64 - common);
  int shift = 64 - common - ROOT_BITS;
  /* rootIndex[r]: the last interval that begins at or before the first address of range r. */
  uint32_t *rootIndex = allocate((1 << ROOT_BITS) + 1, sizeof(uint32_t));
  size_t at = 0;
  for (uint64_t range = 0; range <= 1 << ROOT_BITS; range++) {
    if (range == 1 << ROOT_BITS) {
      rootIndex[range] = (uint32_t)intervals - 1;
      break;
    }
    Key first = {(common == 0 ? 0 : prefix << (64 - common)) | range << shift, 0};
    while (at + 1 < intervals && isAtMost(starts[at + 1], first)) at++;
    rootIndex[range] = (uint32_t)at;
  }
  uint32_t *out = allocate(count, sizeof(uint32_t));
  const uint32_t *words = addressFile.data;
  double seconds[MOST_PASSES];
  for (int pass = 0; pass < passes; pass++) {
    double began = nowSeconds();
    for (size_t row = 0; row < count; row++) {
      Key key = keyOf(words + 4 * row);
      uint64_t own = common == 0 ? 0 : key.high >> (64 - common);
      if (own != prefix) {
        out[row] = values[own < prefix ? 0 : intervals - 1];
        continue;
      }
      uint32_t range = (uint32_t)(key.high >> shift) & ((1 << ROOT_BITS) - 1);
      uint32_t base = rootIndex[range], size = rootIndex[range + 1] - base + 1;
      while (size > 1) {
        uint32_t half = size >> 1;
        base += isAtMost(starts[base + half], key) ? half : 0;
        size -= half;
      }
      out[row] = values[base];
    }
    seconds[pass] = nowSeconds() - began;
  }
  uint32_t first = HASH_START;
  for (size_t row = 0; row < sample && row < count; row++) first = mixHash(first, out[row] != 0);
  printResult(count, seconds, passes, hashWords(HASH_START, out, count), first,
              20.0 * (double)intervals + 4.0 * (1 << ROOT_BITS));
  return 0;
}
