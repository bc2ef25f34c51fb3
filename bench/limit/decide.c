/*
 * Decides IPv4 flows over a Program that the engine compiled.
 *
 *   decide FOLDER PASSES SAMPLE loop|steps
 *
 * `loop` takes one flow after another; `steps` takes blocks of flows one step after another, so that more loads are under way at
 * once: the form of the WASM kernel, and the fastest known. FOLDER has program.bin and the columns src.u32, dst.u32, protocol.u8, port.i32.
 */
#include "program.h"

typedef struct {
  const uint32_t *src, *dst;
  const uint8_t *protocol;
  const int32_t *port;
  size_t count;
} Flows;

static inline int32_t decideRow(const Program *program, const Flows *flows, size_t row, int isShort) {
  return decide(program, isShort, findEndpoint4(program, flows->src[row]), findEndpoint4(program, flows->dst[row]),
                portIndexOf(flows->protocol[row], flows->port[row], -1));
}

static inline __attribute__((always_inline)) void decideInLoop(const Program *program, const Flows *flows, int32_t *restrict out, int isShort) {
  for (size_t row = 0; row < flows->count; row++) out[row] = decideRow(program, flows, row, isShort);
}

enum { BLOCK = 512, LANES = 4 };

/* Four rows of a column: the compiler makes one register of them. */
typedef uint32_t Lanes __attribute__((vector_size(16)));
typedef uint8_t Octets __attribute__((vector_size(4)));

static inline Lanes lanesAt(const void *column, size_t at) {
  Lanes lanes;
  memcpy(&lanes, (const uint32_t *)column + at, sizeof lanes);
  return lanes;
}

static inline void putLanes(void *column, size_t at, Lanes lanes) { memcpy((uint32_t *)column + at, &lanes, sizeof lanes); }

static inline Lanes lanesOfOctets(const uint8_t *column) {
  Octets octets;
  memcpy(&octets, column, sizeof octets);
  return __builtin_convertvector(octets, Lanes);
}

static inline Lanes lesser(Lanes one, Lanes other) {
  Lanes isLess = (Lanes)(one < other);
  return (one & isLess) | (other & ~isLess);
}

/* What a block of rows knows from one step to the next; of a direction first the place in the page index, then the vector, then the place in the
   vectors' page index, then the outcome. */
typedef struct {
  uint32_t source[BLOCK], destination[BLOCK], class[BLOCK], egress[BLOCK], egressCell[BLOCK], ingress[BLOCK], ingressCell[BLOCK], isRare[BLOCK];
} Block;

/* Row and column of a flow's egress, then of its ingress. */
static inline Lanes sidesOf(const Program *program, uint32_t source, uint32_t destination) {
  Lanes src = lanesAt(program->endpoints, source * STRIDE), dst = lanesAt(program->endpoints, destination * STRIDE);
  return __builtin_shufflevector(src, dst, EGRESS_ROW, LANES + EGRESS_COLUMN, LANES + INGRESS_ROW, INGRESS_COLUMN);
}

static inline __attribute__((always_inline)) void findVectors(const uint32_t *pageIndex, const void *pages, uint32_t *places, const uint32_t *cells, size_t count, int isShort) {
#pragma GCC unroll 4
  for (size_t at = 0; at < count; at++) places[at] = cellAt(pages, pageIndex[places[at]], cells[at], isShort);
}

/* `findEndpoint4`, with the address read in its parts from where it lies. */
static inline uint32_t findInParts(const Program *program, const uint32_t *address) {
  const uint8_t *octets = (const uint8_t *)address;
  uint32_t cell = program->mid4[program->root4[((const uint16_t *)address)[1]] + octets[1]];
  return (uint32_t)program->leaf4[(cell >> 8) + (octets[0] & cell)];
}

/* One step after another for rows of a multiple of `LANES`: loads row by row, arithmetic four rows at a time. */
static inline __attribute__((always_inline)) void decideBlock(const Program program, Block *block, const Flows *flows, size_t first, int32_t *out, size_t count, int isShort) {
#pragma GCC unroll 8
  for (size_t at = 0; at < count; at++) block->source[at] = findInParts(&program, flows->src + first + at);
#pragma GCC unroll 8
  for (size_t at = 0; at < count; at++) block->destination[at] = findInParts(&program, flows->dst + first + at);
  for (size_t at = 0; at < count; at += LANES) {
    Lanes protocol = lanesOfOctets(flows->protocol + first + at), port = lanesAt(flows->port, first + at), isUdp = protocol == 17;
    Lanes hasPort = ((protocol == 6) | isUdp) & (port >> 16 == 0);
    putLanes(block->class, at, hasPort & (port | (isUdp & UDP_PORTS)));
    putLanes(block->isRare, at, ~hasPort);
  }
#pragma GCC unroll 8
  for (size_t at = 0; at < count; at++) block->class[at] = program.portClasses[block->class[at]];
  for (size_t at = 0; at < count; at += LANES) {
    const uint32_t *src = block->source + at, *dst = block->destination + at;
    Lanes one = sidesOf(&program, src[0], dst[0]), two = sidesOf(&program, src[1], dst[1]);
    Lanes three = sidesOf(&program, src[2], dst[2]), four = sidesOf(&program, src[3], dst[3]);
    Lanes egress12 = __builtin_shufflevector(one, two, 0, 4, 1, 5), egress34 = __builtin_shufflevector(three, four, 0, 4, 1, 5);
    Lanes ingress12 = __builtin_shufflevector(one, two, 2, 6, 3, 7), ingress34 = __builtin_shufflevector(three, four, 2, 6, 3, 7);
    Lanes egressRow = __builtin_shufflevector(egress12, egress34, 0, 1, 4, 5), egressColumn = __builtin_shufflevector(egress12, egress34, 2, 3, 6, 7);
    Lanes ingressRow = __builtin_shufflevector(ingress12, ingress34, 0, 1, 4, 5), ingressColumn = __builtin_shufflevector(ingress12, ingress34, 2, 3, 6, 7);
    putLanes(block->egress, at, egressRow * program.egressPagesPerRow + (egressColumn >> 6));
    putLanes(block->egressCell, at, egressColumn);
    putLanes(block->ingress, at, ingressRow * program.ingressPagesPerRow + (ingressColumn >> 6));
    putLanes(block->ingressCell, at, ingressColumn);
    Lanes source = lanesAt(src, 0), destination = lanesAt(dst, 0);
    putLanes(block->isRare, at, lanesAt(block->isRare, at) | (source == destination) | (source >= program.firstRare) | (destination >= program.firstRare) | (lanesAt(block->class, at) == EXEMPT_CLASS));
  }
  findVectors(program.egressPageIndex, program.egressPages, block->egress, block->egressCell, count, isShort);
  findVectors(program.ingressPageIndex, program.ingressPages, block->ingress, block->ingressCell, count, isShort);
  for (size_t at = 0; at < count; at += LANES) {
    Lanes page = lanesAt(block->class, at) >> 6;
    putLanes(block->egress, at, lanesAt(block->egress, at) * program.pagesPerVector + page);
    putLanes(block->ingress, at, lanesAt(block->ingress, at) * program.pagesPerVector + page);
    putLanes(block->class, at, lanesAt(block->class, at) & 63);
  }
#pragma GCC unroll 4
  for (size_t at = 0; at < count; at++) {
    block->egress[at] = program.outcomes[program.vectorPages[program.vectorPageIndex[block->egress[at]] << 6 | block->class[at]]];
    block->ingress[at] = program.outcomes[program.vectorPages[program.vectorPageIndex[block->ingress[at]] << 6 | block->class[at]]];
  }
  for (size_t at = 0; at < count; at += LANES) {
    Lanes egress = lanesAt(block->egress, at), ingress = lanesAt(block->ingress, at);
    Lanes verdict = lesser(egress >> 6 & 3, ingress >> 6 & 3);
    Lanes missing = (Lanes)(verdict == UNDECIDABLE) & (egress >> 8 | ingress >> 8);
    putLanes(out, first + at, verdict | (egress & 63) << 2 | (ingress & 63) << 8 | missing << 14);
  }
}

static inline __attribute__((always_inline)) void decideInSteps(const Program *program, const Flows *flows, int32_t *out, int isShort) {
  static Block block;
  for (size_t first = 0; first < flows->count; first += BLOCK) {
    size_t count = flows->count - first < BLOCK ? flows->count - first : BLOCK, whole = count - count % LANES;
    decideBlock(*program, &block, flows, first, out, whole, isShort);
    for (size_t at = 0; at < whole; at++)
      if (__builtin_expect(block.isRare[at] != 0, 0)) out[first + at] = decideRow(program, flows, first + at, isShort);
    for (size_t at = whole; at < count; at++) out[first + at] = decideRow(program, flows, first + at, isShort);
  }
}

int main(int argumentCount, char **arguments) {
  if (argumentCount != 5) fail("usage: decide", "FOLDER PASSES SAMPLE loop|steps");
  const char *folder = arguments[1];
  int passes = atoi(arguments[2]);
  size_t sample = (size_t)atol(arguments[3]);
  int isInSteps = strcmp(arguments[4], "steps") == 0;
  Program program = readProgram(folder);
  File sources = readFile(folder, "src.u32");
  size_t count = sources.bytes / 4;
  Flows flows = {sources.data, readFile(folder, "dst.u32").data, readFile(folder, "protocol.u8").data, readFile(folder, "port.i32").data, count};
  int32_t *out = allocate(count, sizeof(int32_t));
  double seconds[MOST_PASSES];
  for (int pass = 0; pass < passes; pass++) {
    double began = nowSeconds();
    if (isInSteps && program.cellBytes == 2) decideInSteps(&program, &flows, out, 1);
    else if (isInSteps) decideInSteps(&program, &flows, out, 0);
    else if (program.cellBytes == 2) decideInLoop(&program, &flows, out, 1);
    else decideInLoop(&program, &flows, out, 0);
    seconds[pass] = nowSeconds() - began;
  }
  uint32_t first = HASH_START;
  for (size_t row = 0; row < sample && row < count; row++) first = mixHash(first, (out[row] & 3) == ALLOW);
  printResult(count, seconds, passes, hashWords(HASH_START, (uint32_t *)out, count), first, (double)program.bytes);
  return 0;
}
