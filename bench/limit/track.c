/*
 * Tracks TCP packets of live connections.
 *
 *   track FOLDER PASSES SAMPLE LIVE SPAN_US
 *
 * LIVE connections are opened first (makePacket of bench/traffic.ts has the same tuples), then FOLDER's packets, columns
 * src.u32, dst.u32, ports.u32 (source << 16 | destination), flags.u16, timeUs.f64, are tracked once a pass, each pass SPAN_US later.
 */
#include "track.h"

int main(int argumentCount, char **arguments) {
  if (argumentCount != 6) fail("usage: track", "FOLDER PASSES SAMPLE LIVE SPAN_US");
  const char *folder = arguments[1];
  int passes = atoi(arguments[2]);
  size_t sample = (size_t)atol(arguments[3]);
  uint32_t live = (uint32_t)atol(arguments[4]);
  double spanUs = atof(arguments[5]);
  File sources = readFile(folder, "src.u32");
  const uint32_t *src = sources.data, *dst = readFile(folder, "dst.u32").data, *ports = readFile(folder, "ports.u32").data;
  const uint16_t *flags = readFile(folder, "flags.u16").data;
  double *timeUs = readFile(folder, "timeUs.f64").data;
  size_t count = sources.bytes / 4;
  uint32_t *out = allocate(count, sizeof(uint32_t));
  buildTables();
  Tracker tracker = createTracker(1);
  setClock(&tracker, timeUs[0]);
  for (int step = 0; step < 3; step++)
    for (uint32_t each = 0; each < live; each++) {
      uint32_t client = 0x0a400000 + (each * 0x9e3779b1u >> 12), server = 0x0a800000 + (each & 4095), port = 32768 + each / 4096;
      if (step == 1) trackTcp(&tracker, server, client, 8080, port, 18);
      else trackTcp(&tracker, client, server, port, 8080, step == 0 ? 2 : 16);
    }
  uint32_t all = HASH_START, first = HASH_START;
  double seconds[MOST_PASSES];
  static Block block;
  for (int pass = 0; pass < passes; pass++) {
    double began = nowSeconds();
    for (size_t row = 0; row < count;) {
      size_t end = row + BLOCK < count ? row + BLOCK : count;
      for (size_t at = row; at < end; at++)
        stagePacket(&tracker, &block, at - row, src[at], dst[at], ports[at] >> 16, ports[at] & 0xffff, 6);
      findBlock(&tracker, &block, end - row);
      uint32_t changes = tracker.changes;
      for (size_t at = 0; row < end && tracker.changes == changes; row++, at++) {
        setClock(&tracker, timeUs[row]);
        int state = takeStaged(&tracker, block.entry[at], block.isSwapped[at], tcpIndex[flags[row] & 63]);
        if (__builtin_expect(state < 0, 0))
          state = trackTcp(&tracker, src[row], dst[row], ports[row] >> 16, ports[row] & 0xffff, flags[row]);
        out[row] = (uint32_t)state;
      }
    }
    seconds[pass] = nowSeconds() - began;
    if (pass == 0) first = hashWords(HASH_START, out, sample < count ? sample : count);
    all = hashWords(all, out, count);
    for (size_t row = 0; row < count; row++) timeUs[row] += spanUs;
  }
  printResult(count, seconds, passes, all, first, (double)(tracker.mask + 1) * sizeof(Entry));
  return 0;
}
