/*
 * Decides IPv4 flows over a Program that the engine compiled.
 *
 *   decide FOLDER PASSES SAMPLE
 *
 * FOLDER has program.bin and the columns src.u32, dst.u32, protocol.u8, port.i32.
 */
#include "program.h"

typedef struct {
  const uint32_t *src, *dst;
  const uint8_t *protocol;
  const int32_t *port;
  size_t count;
} Flows;

static inline __attribute__((always_inline)) void decideAll(const Program *program, const Flows *flows, int32_t *restrict out, int isShort) {
  for (size_t row = 0; row < flows->count; row++)
    out[row] = decide(program, isShort, findEndpoint4(program, flows->src[row]), findEndpoint4(program, flows->dst[row]),
                      portIndexOf(flows->protocol[row], flows->port[row], -1));
}

int main(int argumentCount, char **arguments) {
  if (argumentCount != 4) fail("usage: decide", "FOLDER PASSES SAMPLE");
  const char *folder = arguments[1];
  int passes = atoi(arguments[2]);
  size_t sample = (size_t)atol(arguments[3]);
  Program program = readProgram(folder);
  File sources = readFile(folder, "src.u32");
  size_t count = sources.bytes / 4;
  Flows flows = {sources.data, readFile(folder, "dst.u32").data, readFile(folder, "protocol.u8").data, readFile(folder, "port.i32").data, count};
  int32_t *out = allocate(count, sizeof(int32_t));
  double seconds[MOST_PASSES];
  for (int pass = 0; pass < passes; pass++) {
    double began = nowSeconds();
    if (program.cellBytes == 2) decideAll(&program, &flows, out, 1);
    else decideAll(&program, &flows, out, 0);
    seconds[pass] = nowSeconds() - began;
  }
  uint32_t first = HASH_START;
  for (size_t row = 0; row < sample && row < count; row++) first = mixHash(first, (out[row] & 3) == ALLOW);
  printResult(count, seconds, passes, hashWords(HASH_START, (uint32_t *)out, count), first, (double)program.bytes);
  return 0;
}
