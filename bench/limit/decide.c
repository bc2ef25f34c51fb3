/*
 * Decides IPv4 flows over a Program that the engine compiled.
 *
 *   decide FOLDER PASSES SAMPLE
 *
 * FOLDER has program.bin and the columns src.u32, dst.u32, protocol.u8, port.i32.
 */
#include "program.h"

int main(int argumentCount, char **arguments) {
  if (argumentCount != 4) fail("usage: decide", "FOLDER PASSES SAMPLE");
  const char *folder = arguments[1];
  int passes = atoi(arguments[2]);
  size_t sample = (size_t)atol(arguments[3]);
  Program program = readProgram(folder);
  File sources = readFile(folder, "src.u32");
  const uint32_t *src = sources.data, *dst = readFile(folder, "dst.u32").data;
  const uint8_t *protocol = readFile(folder, "protocol.u8").data;
  const int32_t *port = readFile(folder, "port.i32").data;
  size_t count = sources.bytes / 4;
  int32_t *out = allocate(count, sizeof(int32_t));
  double seconds[MOST_PASSES];
  for (int pass = 0; pass < passes; pass++) {
    double began = nowSeconds();
    for (size_t row = 0; row < count; row++)
      out[row] = decide(&program, findEndpoint4(&program, src[row]), findEndpoint4(&program, dst[row]),
                        portIndexOf(protocol[row], port[row], -1));
    seconds[pass] = nowSeconds() - began;
  }
  uint32_t first = HASH_START;
  for (size_t row = 0; row < sample && row < count; row++) first = mixHash(first, (out[row] & 3) == ALLOW);
  printResult(count, seconds, passes, hashWords(HASH_START, (uint32_t *)out, count), first, (double)program.bytes);
  return 0;
}
