/*
 * IPv4 address -> value of the interval that contains it.
 *
 *   lookup4 FOLDER PASSES SAMPLE trie   three loads without a branch: root[a >> 16], mid[.. + byte 2], leaf[.. + byte 3]; equal blocks are shared,
 *                                      and a /24 of one value is a single cell
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

static int32_t reserveBlock(Blocks *blocks) {
  if (blocks->used + 256 > blocks->capacity)
    blocks->cells = realloc(blocks->cells, (blocks->capacity *= 2) * sizeof(int32_t));
  blocks->used += 256;
  return (int32_t)blocks->used - 256;
}

/* The offset of a block with this content, made if there is none. */
static int32_t shareBlock(Blocks *blocks, const int32_t *content) {
  uint32_t hash = hashWords(HASH_START, (const uint32_t *)content, 256);
  size_t slot = (hash ^ hash >> 15) & blocks->mask;
  for (; blocks->slots[slot] != 0; slot = (slot + 1) & blocks->mask)
    if (memcmp(blocks->cells + blocks->slots[slot] - 1, content, 1024) == 0) return blocks->slots[slot] - 1;
  int32_t offset = reserveBlock(blocks);
  memcpy(blocks->cells + offset, content, 1024);
  blocks->slots[slot] = offset + 1;
  return offset;
}

static const uint32_t *starts, *values;
static size_t intervalCount;

/* The interval of an address, from one that begins before it. */
static size_t advance(size_t index, uint64_t address) {
  while (index + 1 < intervalCount && starts[index + 1] <= address) index++;
  return index;
}

static int isUniform(size_t index, uint64_t end) { return index + 1 == intervalCount || starts[index + 1] >= end; }

/* A cell of mid is the offset of a block of leaves; where there are singles, it has its sign, and without one is the offset of a single leaf. */
typedef struct {
  int hasSingles;
  int32_t *root;
  Blocks mid, leaf;
  int32_t *uniform; /* value -> offset + 1 of the single leaf, or of the block that has nothing else */
  int32_t nextSingle;
  uint16_t *shortLeaf; /* leaves of half the size, where the values fit */
} Trie;

/* The cell of a /24 that has one value. */
static int32_t shareUniform(Trie *trie, uint32_t value) {
  if (trie->uniform[value] != 0) return trie->uniform[value] - 1;
  int32_t cell;
  if (trie->hasSingles) {
    if (trie->nextSingle % 256 == 0) trie->nextSingle = reserveBlock(&trie->leaf);
    cell = trie->nextSingle++;
    trie->leaf.cells[cell] = (int32_t)value;
  } else {
    int32_t cells[256];
    for (int low = 0; low < 256; low++) cells[low] = (int32_t)value;
    cell = shareBlock(&trie->leaf, cells);
  }
  trie->uniform[value] = cell + 1;
  return cell;
}

static uint32_t mostValue(void) {
  uint32_t most = 0;
  for (size_t each = 0; each < intervalCount; each++) most = values[each] > most ? values[each] : most;
  return most;
}

static Trie buildTrie(int hasSingles) {
  Trie trie = {hasSingles, allocate(65536, sizeof(int32_t)), createBlocks(), createBlocks(), allocate(mostValue() + 1, sizeof(int32_t)), 0, NULL};
  size_t index = 0;
  for (uint64_t high = 0; high < 65536; high++) {
    int32_t row[256];
    index = advance(index, high << 16);
    if (isUniform(index, (high + 1) << 16)) {
      int32_t cell = shareUniform(&trie, values[index]);
      for (int each = 0; each < 256; each++) row[each] = cell;
      trie.root[high] = shareBlock(&trie.mid, row);
      continue;
    }
    for (uint64_t middle = 0; middle < 256; middle++) {
      uint64_t from = high << 16 | middle << 8;
      index = advance(index, from);
      if (isUniform(index, from + 256)) {
        row[middle] = shareUniform(&trie, values[index]);
        continue;
      }
      int32_t cells[256];
      for (uint64_t low = 0; low < 256; low++) {
        index = advance(index, from | low);
        cells[low] = (int32_t)values[index];
      }
      row[middle] = shareBlock(&trie.leaf, cells) | (hasSingles ? INT32_MIN : 0);
    }
    trie.root[high] = shareBlock(&trie.mid, row);
  }
  if (mostValue() < 65536) {
    trie.shortLeaf = allocate(trie.leaf.used, sizeof(uint16_t));
    for (size_t cell = 0; cell < trie.leaf.used; cell++) trie.shortLeaf[cell] = (uint16_t)trie.leaf.cells[cell];
  }
  return trie;
}

static inline int32_t ofBlock(int32_t cell, uint32_t address) { return cell + (int32_t)(address & 255); }

static inline int32_t ofEither(int32_t cell, uint32_t address) { return (cell & INT32_MAX) + ((int32_t)(address & 255) & cell >> 31); }

typedef void LookUp(const Trie *, const uint32_t *restrict, uint32_t *restrict, size_t);

#define LOOK_UP(name, leaves, type, indexOf)                                                                         \
  static void name(const Trie *trie, const uint32_t *restrict addresses, uint32_t *restrict out, size_t count) {     \
    const int32_t *restrict top = trie->root, *restrict middle = trie->mid.cells;                                    \
    const type *restrict cells = leaves;                                                                             \
    for (size_t row = 0; row < count; row++) {                                                                       \
      uint32_t address = addresses[row];                                                                             \
      out[row] = (uint32_t)cells[indexOf(middle[top[address >> 16] + (int32_t)(address >> 8 & 255)], address)];      \
    }                                                                                                                \
  }

/* Gathers: the compiler makes them of this loop where the processor has them. */
LOOK_UP(gatherBlocks, trie->leaf.cells, int32_t, ofBlock)
LOOK_UP(gatherEither, trie->leaf.cells, int32_t, ofEither)

/* Single loads: faster where gathers are microcode. */
#pragma GCC push_options
#pragma GCC optimize("no-tree-vectorize")
LOOK_UP(loadBlocks, trie->leaf.cells, int32_t, ofBlock)
LOOK_UP(loadEither, trie->leaf.cells, int32_t, ofEither)
LOOK_UP(loadShortBlocks, trie->shortLeaf, uint16_t, ofBlock)
LOOK_UP(loadShortEither, trie->shortLeaf, uint16_t, ofEither)

/* As the engine does it: eight rows a turn, and an address in its parts from where it lies. */
#define LOOK_UP_IN_PARTS(name, leaves, type, indexOf)                                                                \
  static void name(const Trie *trie, const uint32_t *restrict addresses, uint32_t *restrict out, size_t count) {     \
    const int32_t *restrict top = trie->root, *restrict middle = trie->mid.cells;                                    \
    const type *restrict cells = leaves;                                                                             \
    const uint16_t *halves = (const uint16_t *)addresses;                                                            \
    const uint8_t *octets = (const uint8_t *)addresses;                                                              \
    _Pragma("GCC unroll 8") for (size_t row = 0; row < count; row++)                                                 \
        out[row] = (uint32_t)cells[indexOf(middle[top[halves[2 * row + 1]] + octets[4 * row + 1]], octets[4 * row])]; \
  }

LOOK_UP_IN_PARTS(partsBlocks, trie->leaf.cells, int32_t, ofBlock)
LOOK_UP_IN_PARTS(partsEither, trie->leaf.cells, int32_t, ofEither)
LOOK_UP_IN_PARTS(partsShortBlocks, trie->shortLeaf, uint16_t, ofBlock)
LOOK_UP_IN_PARTS(partsShortEither, trie->shortLeaf, uint16_t, ofEither)
#pragma GCC pop_options

enum { FORMS = 10, TURNS = 3 };

static LookUp *const forms[FORMS] = {gatherBlocks, loadBlocks, partsBlocks, loadShortBlocks, partsShortBlocks,
                                     gatherEither, loadEither, partsEither, loadShortEither, partsShortEither};

/* The form that is fastest on this machine, after passes of each: with singles from the middle of `forms` on. */
static int chooseForm(const Trie tries[2], const uint32_t *addresses, uint32_t *out, size_t count) {
  int best = 0;
  double bestSeconds = 1e9;
  for (int turn = 0; turn < FORMS * TURNS; turn++) {
    int form = turn % FORMS;
    const Trie *trie = &tries[form >= FORMS / 2];
    if (form % (FORMS / 2) >= 3 && trie->shortLeaf == NULL) continue;
    double began = nowSeconds();
    forms[form](trie, addresses, out, count);
    double seconds = nowSeconds() - began;
    if (turn >= FORMS && seconds < bestSeconds) {
      bestSeconds = seconds;
      best = form;
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

static void lookUpDxr(const Trie *trie, const uint32_t *restrict addresses, uint32_t *restrict out, size_t count) {
  (void)trie;
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
  Trie tries[2], *trie = tries;
  if (isTrie) for (int hasSingles = 0; hasSingles < 2; hasSingles++) tries[hasSingles] = buildTrie(hasSingles);
  else buildDxr();
  size_t count = addressFile.bytes / 4;
  uint32_t *out = allocate(count, sizeof(uint32_t));
  LookUp *lookUp = lookUpDxr;
  if (isTrie) {
    int form = chooseForm(tries, addressFile.data, out, count);
    lookUp = forms[form];
    trie = &tries[form >= FORMS / 2];
  }
  double seconds[MOST_PASSES];
  for (int pass = 0; pass < passes; pass++) {
    double began = nowSeconds();
    lookUp(trie, addressFile.data, out, count);
    seconds[pass] = nowSeconds() - began;
  }
  uint32_t first = HASH_START;
  for (size_t row = 0; row < sample && row < count; row++) first = mixHash(first, out[row] != 0);
  double bytes = isTrie ? 4.0 * (double)(65536 + trie->mid.used + trie->leaf.used) : 65537 * 4.0 + 6.0 * (double)fragments;
  printResult(count, seconds, passes, hashWords(HASH_START, out, count), first, bytes);
  return 0;
}
