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

enum { BLOCK = 256 };

static inline __attribute__((always_inline)) void decideInSteps(const Program *program, const Flows *flows, int32_t *restrict out, int isShort) {
  static const int32_t *sources[BLOCK], *destinations[BLOCK];
  static uint32_t egress[BLOCK], ingress[BLOCK], classes[BLOCK];
  static uint8_t isRare[BLOCK];
  for (size_t first = 0; first < flows->count; first += BLOCK) {
    size_t count = flows->count - first < BLOCK ? flows->count - first : BLOCK;
    for (size_t at = 0; at < count; at++) sources[at] = program->endpoints + findEndpoint4(program, flows->src[first + at]) * STRIDE;
    for (size_t at = 0; at < count; at++) destinations[at] = program->endpoints + findEndpoint4(program, flows->dst[first + at]) * STRIDE;
    for (size_t at = 0; at < count; at++) classes[at] = program->portClasses[portIndexOf(flows->protocol[first + at], flows->port[first + at], -1)];
    for (size_t at = 0; at < count; at++) {
      const int32_t *src = sources[at], *dst = destinations[at];
      egress[at] = egressVector(program, isShort, src, dst);
      ingress[at] = ingressVector(program, isShort, src, dst);
      isRare[at] = classes[at] == EXEMPT_CLASS || (src[SELF] >= 0 && src[SELF] == dst[SELF]) || (src[KIND] & KIND_MASK) >= NODE || (dst[KIND] & KIND_MASK) >= NODE;
    }
    for (size_t at = 0; at < count; at++) out[first + at] = combine(outcomeAt(program, egress[at], classes[at]), outcomeAt(program, ingress[at], classes[at]));
    for (size_t at = 0; at < count; at++)
      if (__builtin_expect(isRare[at], 0)) out[first + at] = decideRow(program, flows, first + at, isShort);
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
