/*
 * IPv4 address -> value of the interval that contains it.
 *
 *   lookup4 FOLDER PASSES SAMPLE trie   three loads without a branch: root[a >> 16], mid[.. + byte 2], leaf[.. + byte 3]; equal blocks are shared
 *   lookup4 FOLDER PASSES SAMPLE dxr    2^16 ranges, each a run of 16-bit starts that is searched without a branch
 *
 * FOLDER has starts.u32 and values.u32 (disjoint intervals, sorted, the first at 0) and addresses.u32.
 */
#include "reference.h"

typedef struct {
  int32_t *cells;
  size_t used, capacity;
  int32_t *slots; /* hash of a block's content -> its offset + 1 */
  size_t mask;
} Blocks;

static Blocks createBlocks(void) {
  Blocks blocks = {NULL, 0, 1 << 16, NULL, (1 << 20) - 1};
  blocks.cells = malloc(blocks.capacity * sizeof(int32_t));
  blocks.slots = calloc(blocks.mask + 1, sizeof(int32_t));
  return blocks;
}

/* The offset of a block with this content, made if there is none. */
static int32_t shareBlock(Blocks *blocks, const int32_t *content) {
  uint32_t hash = hashWords(HASH_START, (const uint32_t *)content, 256);
  size_t slot = (hash ^ hash >> 15) & blocks->mask;
  for (; blocks->slots[slot] != 0; slot = (slot + 1) & blocks->mask)
    if (memcmp(blocks->cells + blocks->slots[slot] - 1, content, 1024) == 0) return blocks->slots[slot] - 1;
  if (blocks->used + 256 > blocks->capacity)
    blocks->cells = realloc(blocks->cells, (blocks->capacity *= 2) * sizeof(int32_t));
  memcpy(blocks->cells + blocks->used, content, 1024);
  blocks->slots[slot] = (int32_t)blocks->used + 1;
  blocks->used += 256;
  return (int32_t)blocks->used - 256;
}

static const uint32_t *starts, *values;
static size_t intervalCount;

/* The interval of an address, from one that begins before it. */
static size_t advance(size_t index, uint64_t address) {
  while (index + 1 < intervalCount && starts[index + 1] <= address) index++;
  return index;
}

static int isUniform(size_t index, uint64_t end) { return index + 1 == intervalCount || starts[index + 1] >= end; }

static int32_t *root;
static Blocks mid, leaf;

static int32_t *uniformLeaves; /* value -> offset + 1 of the leaf that has nothing else */

static int32_t shareUniform(uint32_t value) {
  if (uniformLeaves[value] == 0) {
    int32_t cells[256];
    for (int low = 0; low < 256; low++) cells[low] = (int32_t)value;
    uniformLeaves[value] = shareBlock(&leaf, cells) + 1;
  }
  return uniformLeaves[value] - 1;
}

static void buildTrie(void) {
  uint32_t most = 0;
  for (size_t each = 0; each < intervalCount; each++) most = values[each] > most ? values[each] : most;
  uniformLeaves = allocate(most + 1, sizeof(int32_t));
  root = allocate(65536, sizeof(int32_t));
  mid = createBlocks();
  leaf = createBlocks();
  size_t index = 0;
  for (uint64_t high = 0; high < 65536; high++) {
    int32_t row[256];
    index = advance(index, high << 16);
    if (isUniform(index, (high + 1) << 16)) {
      int32_t block = shareUniform(values[index]);
      for (int each = 0; each < 256; each++) row[each] = block;
      root[high] = shareBlock(&mid, row);
      continue;
    }
    for (uint64_t middle = 0; middle < 256; middle++) {
      uint64_t from = high << 16 | middle << 8;
      index = advance(index, from);
      if (isUniform(index, from + 256)) {
        row[middle] = shareUniform(values[index]);
        continue;
      }
      int32_t cells[256];
      for (uint64_t low = 0; low < 256; low++) {
        index = advance(index, from | low);
        cells[low] = (int32_t)values[index];
      }
      row[middle] = shareBlock(&leaf, cells);
    }
    root[high] = shareBlock(&mid, row);
  }
}

/* Gathers: the compiler makes them of this loop where the processor has them. */
static void lookUpGathered(const uint32_t *restrict addresses, uint32_t *restrict out, size_t count) {
  const int32_t *restrict top = root, *restrict middle = mid.cells, *restrict cells = leaf.cells;
  for (size_t row = 0; row < count; row++) {
    uint32_t address = addresses[row];
    out[row] = (uint32_t)cells[middle[top[address >> 16] + (int32_t)(address >> 8 & 255)] + (int32_t)(address & 255)];
  }
}

/* Single loads: faster where gathers are microcode. */
__attribute__((optimize("no-tree-vectorize"))) static void lookUpSingly(const uint32_t *restrict addresses, uint32_t *restrict out, size_t count) {
  const int32_t *restrict top = root, *restrict middle = mid.cells, *restrict cells = leaf.cells;
  for (size_t row = 0; row < count; row++) {
    uint32_t address = addresses[row];
    out[row] = (uint32_t)cells[middle[top[address >> 16] + (int32_t)(address >> 8 & 255)] + (int32_t)(address & 255)];
  }
}

/* Single loads from leaves of half the size, where the values fit. */
static uint16_t *shortLeaf;

__attribute__((optimize("no-tree-vectorize"))) static void lookUpShort(const uint32_t *restrict addresses, uint32_t *restrict out, size_t count) {
  const int32_t *restrict top = root, *restrict middle = mid.cells;
  const uint16_t *restrict cells = shortLeaf;
  for (size_t row = 0; row < count; row++) {
    uint32_t address = addresses[row];
    out[row] = cells[middle[top[address >> 16] + (int32_t)(address >> 8 & 255)] + (int32_t)(address & 255)];
  }
}

typedef void LookUp(const uint32_t *restrict, uint32_t *restrict, size_t);

/* The form that is fastest on this machine, after a pass of each. */
static LookUp *chooseTrie(const uint32_t *addresses, uint32_t *out, size_t count) {
  uint32_t most = 0;
  for (size_t index = 0; index < intervalCount; index++) most = values[index] > most ? values[index] : most;
  if (most < 65536) {
    shortLeaf = allocate(leaf.used, sizeof(uint16_t));
    for (size_t cell = 0; cell < leaf.used; cell++) shortLeaf[cell] = (uint16_t)leaf.cells[cell];
  }
  LookUp *forms[] = {lookUpGathered, lookUpSingly, lookUpShort}, *best = lookUpSingly;
  double bestSeconds = 1e9;
  for (int turn = 0; turn < 9; turn++) {
    if (forms[turn % 3] == lookUpShort && shortLeaf == NULL) continue;
    double began = nowSeconds();
    forms[turn % 3](addresses, out, count);
    double seconds = nowSeconds() - began;
    if (turn >= 3 && seconds < bestSeconds) {
      bestSeconds = seconds;
      best = forms[turn % 3];
    }
  }
  return best;
}

/* Range `high` has the starts run[high] .. run[high + 1]; the first start of each range is 0. */
static uint32_t *run;
static uint16_t *fragmentStarts;
static uint32_t *fragmentValues;
static size_t fragments;

static void buildDxr(void) {
  run = allocate(65537, sizeof(uint32_t));
  fragmentStarts = allocate(intervalCount + 65536, sizeof(uint16_t));
  fragmentValues = allocate(intervalCount + 65536, sizeof(uint32_t));
  size_t index = 0;
  for (uint64_t high = 0; high < 65536; high++) {
    run[high] = (uint32_t)fragments;
    index = advance(index, high << 16);
    fragmentStarts[fragments] = 0;
    fragmentValues[fragments++] = values[index];
    for (; index + 1 < intervalCount && starts[index + 1] < (high + 1) << 16; index++) {
      if (starts[index + 1] == high << 16) continue;
      fragmentStarts[fragments] = (uint16_t)starts[index + 1];
      fragmentValues[fragments++] = values[index + 1];
    }
  }
  run[65536] = (uint32_t)fragments;
}

static void lookUpDxr(const uint32_t *restrict addresses, uint32_t *restrict out, size_t count) {
  for (size_t row = 0; row < count; row++) {
    uint32_t address = addresses[row], low = address & 0xffff;
    uint32_t base = run[address >> 16], size = run[(address >> 16) + 1] - base;
    while (size > 1) {
      uint32_t half = size >> 1;
      base += fragmentStarts[base + half] <= low ? half : 0;
      size -= half;
    }
    out[row] = fragmentValues[base];
  }
}

int main(int argumentCount, char **arguments) {
  if (argumentCount != 5) fail("usage: lookup4 FOLDER PASSES SAMPLE", "trie|dxr");
  const char *folder = arguments[1];
  int passes = atoi(arguments[2]);
  size_t sample = (size_t)atol(arguments[3]);
  int isTrie = strcmp(arguments[4], "trie") == 0;
  File startFile = readFile(folder, "starts.u32"), addressFile = readFile(folder, "addresses.u32");
  starts = startFile.data;
  values = readFile(folder, "values.u32").data;
  intervalCount = startFile.bytes / 4;
  if (isTrie) buildTrie();
  else buildDxr();
  size_t count = addressFile.bytes / 4;
  uint32_t *out = allocate(count, sizeof(uint32_t));
  LookUp *lookUp = isTrie ? chooseTrie(addressFile.data, out, count) : lookUpDxr;
  double seconds[MOST_PASSES];
  for (int pass = 0; pass < passes; pass++) {
    double began = nowSeconds();
    lookUp(addressFile.data, out, count);
    seconds[pass] = nowSeconds() - began;
  }
  uint32_t first = HASH_START;
  for (size_t row = 0; row < sample && row < count; row++) first = mixHash(first, out[row] != 0);
  double bytes = isTrie ? 4.0 * (double)(65536 + mid.used + leaf.used) : 65537 * 4.0 + 6.0 * (double)fragments;
  printResult(count, seconds, passes, hashWords(HASH_START, out, count), first, bytes);
  return 0;
}
