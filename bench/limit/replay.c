/*
 * The whole of a stateful replay: a trace in dropcast's columnar format, connection tracking, a decision for each new connection, sums by
 * group. As the engine's mode "connections" does it, for what the prepared trace holds: IPv4 packets of TCP and UDP whose opening is there.
 * Anything else ends the run.
 *
 *   replay FOLDER PASSES
 *
 * FOLDER has trace.bin, widths.u8 (bytes an element of each of its columns), program.bin, party.i32 (a number for the workload of each endpoint, -1 outside) and listen.u32 (two words an
 * endpoint: protocol << 16 | port on which its pod listens).
 */
#include "program.h"
#include "track.h"
#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { GROUP_MAGIC = 0x50555247, FILE_HEADER = 16, GROUP_HEADER = 24, QUOTE_SIZE = 22, MOST_COLUMNS = 64 };
enum { C_KIND, C_FAMILY, C_PROTOCOL, C_SRC, C_DST, C_SRC_PORT, C_DST_PORT, C_ICMP, C_FLAGS, C_TIME, C_BYTES, C_PACKETS, C_REPLY_BYTES };
static const uint8_t *widths;

typedef struct {
  uint32_t source, destination, port;
  int32_t decision;
} GroupKey;

/* What every record adds, half a cache line. */
typedef struct {
  double records, bytes, firstUs, lastUs;
} Sums;

typedef struct {
  GroupKey *keys;
  Sums *sums;
  double *connections;
  int32_t *slots;
  uint32_t count, capacity, mask;
} Groups;

static uint32_t hashGroup(GroupKey key) {
  uint64_t hash = ((uint64_t)key.source << 32 | key.destination) * 0x9e3779b97f4a7c15u;
  hash = (hash ^ hash >> 32 ^ ((uint64_t)key.port << 32 | (uint32_t)key.decision)) * 0xd6e8feb86659fd93u;
  return (uint32_t)(hash >> 40);
}

static Groups createGroups(void) {
  Groups groups = {.capacity = 1024, .mask = 4095};
  groups.keys = malloc(groups.capacity * sizeof(GroupKey));
  groups.sums = malloc(groups.capacity * sizeof(Sums));
  groups.connections = malloc(groups.capacity * sizeof(double));
  groups.slots = calloc(groups.mask + 1, sizeof(int32_t));
  return groups;
}

static uint32_t internGroup(Groups *groups, GroupKey key) {
  uint32_t slot = hashGroup(key) & groups->mask;
  for (; groups->slots[slot] != 0; slot = (slot + 1) & groups->mask)
    if (memcmp(groups->keys + groups->slots[slot] - 1, &key, sizeof key) == 0) return (uint32_t)groups->slots[slot] - 1;
  if (groups->count == groups->capacity) {
    groups->capacity *= 2;
    groups->mask = groups->mask * 2 + 1;
    groups->keys = realloc(groups->keys, groups->capacity * sizeof(GroupKey));
    groups->sums = realloc(groups->sums, groups->capacity * sizeof(Sums));
    groups->connections = realloc(groups->connections, groups->capacity * sizeof(double));
    free(groups->slots);
    groups->slots = calloc(groups->mask + 1, sizeof(int32_t));
    for (uint32_t group = 0; group < groups->count; group++) {
      for (slot = hashGroup(groups->keys[group]) & groups->mask; groups->slots[slot] != 0;) slot = (slot + 1) & groups->mask;
      groups->slots[slot] = (int32_t)group + 1;
    }
    for (slot = hashGroup(key) & groups->mask; groups->slots[slot] != 0;) slot = (slot + 1) & groups->mask;
  }
  groups->slots[slot] = (int32_t)groups->count + 1;
  groups->keys[groups->count] = key;
  groups->sums[groups->count] = (Sums){0, 0, 1e300, -1e300};
  groups->connections[groups->count] = 0;
  return groups->count++;
}

/* The group of the last connection of the same ends and port, which nothing else decides. */
typedef struct {
  uint32_t src, dst, key, group;
  int32_t source;
} Memo;

enum { MEMO_SIZE = 32768 };

static inline Memo *memoOf(Memo *memo, uint32_t src, uint32_t dst, uint32_t key) {
  uint32_t hash = (src * 0x9e3779b1u ^ dst) * 0x85ebca6bu + key * 0xc2b2ae35u;
  return memo + ((hash ^ hash >> 15) & (MEMO_SIZE - 1));
}

static inline void addSums(Sums *sums, double timeUs, double bytes) {
  sums->records += 1;
  sums->bytes += bytes;
  if (timeUs < sums->firstUs) sums->firstUs = timeUs;
  if (timeUs > sums->lastUs) sums->lastUs = timeUs;
}

static const uint32_t *listening;

static int listens(const Program *program, int32_t endpoint, uint32_t protocol, uint32_t port) {
  if ((program->endpoints[endpoint * STRIDE + KIND] & KIND_MASK) != POD) return 0;
  uint32_t asked = protocol << 16 | port;
  return listening[2 * endpoint] == asked || listening[2 * endpoint + 1] == asked;
}

/* A column of a group where it lies, or filled where one value stands for all rows. Columns that nobody reads are passed over. */
static const char *columnData[MOST_COLUMNS];
static char *filled[MOST_COLUMNS];

#define FILL(type)                                                      \
  for (uint32_t row = 0; row < rows; row++) ((type *)into)[row] = *(type *)value;

static size_t alignEight(size_t offset) { return (offset + 7) & ~(size_t)7; }

static const char *readColumn(const char *at, int isPlain, int column, uint32_t rows) {
  size_t width = widths[column];
  const char *next = at + alignEight(isPlain ? rows * width : width);
  if (column > C_REPLY_BYTES) return next;
  columnData[column] = at;
  if (isPlain) return next;
  if (filled[column] == NULL) filled[column] = allocate(65536, 8);
  void *into = filled[column];
  const char *value = at;
  if (width == 1) memset(into, value[0], rows);
  else if (width == 2) { FILL(uint16_t) }
  else if (width == 4) { FILL(uint32_t) }
  else { FILL(uint64_t) }
  columnData[column] = into;
  return next;
}

int main(int argumentCount, char **arguments) {
  if (argumentCount != 3) fail("usage: replay", "FOLDER PASSES");
  const char *folder = arguments[1];
  int passes = atoi(arguments[2]);
  Program program = readProgram(folder);
  File trace = readFile(folder, "trace.bin");
  const int32_t *party = readFile(folder, "party.i32").data;
  listening = readFile(folder, "listen.u32").data;
  buildTables();
  File columns = readFile(folder, "widths.u8");
  widths = columns.data;
  const char *file = trace.data, *fileEnd = file + trace.bytes;
  if (trace.bytes < FILE_HEADER || *(uint32_t *)(file + 8) != 3 || memcmp(file, "DROPTRC", 7) != 0 || columns.bytes > MOST_COLUMNS ||
      *(uint32_t *)(file + 12) != columns.bytes)
    fail("the trace has another layout than this reference knows:", folder);
  /* What a pass frees the next one takes: as the engine, no pass waits until the machine has found its memory. */
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
  double seconds[MOST_PASSES];
  uint32_t hash = 0;
  size_t records = 0;
  for (int pass = 0; pass < passes; pass++) {
    double began = nowSeconds();
    Tracker tracker = createTracker(0);
    Groups groups = createGroups();
    Memo *memo = calloc(MEMO_SIZE, sizeof(Memo));
    double invalid = 0;
    records = 0;
    for (const char *group = file + FILE_HEADER; group < fileEnd;) {
      uint32_t head[6];
      memcpy(head, group, sizeof head);
      if (head[0] != GROUP_MAGIC) fail("a group is missing in", folder);
      uint32_t rows = head[2];
      const char *encodings = group + GROUP_HEADER;
      size_t quotes = alignEight(alignEight(GROUP_HEADER + columns.bytes) + head[3] * 16 + head[4]);
      const char *at = group + alignEight(quotes + head[5] * QUOTE_SIZE);
      for (int column = 0; column < (int)columns.bytes; column++) at = readColumn(at, encodings[column], column, rows);
      const uint8_t *kind = (uint8_t *)columnData[C_KIND], *family = (uint8_t *)columnData[C_FAMILY], *protocol = (uint8_t *)columnData[C_PROTOCOL];
      const uint32_t *src = (uint32_t *)columnData[C_SRC], *dst = (uint32_t *)columnData[C_DST];
      const int32_t *srcPort = (int32_t *)columnData[C_SRC_PORT], *dstPort = (int32_t *)columnData[C_DST_PORT];
      const uint16_t *flags = (uint16_t *)columnData[C_FLAGS];
      const double *timeUs = (double *)columnData[C_TIME], *bytes = (double *)columnData[C_BYTES], *replyBytes = (double *)columnData[C_REPLY_BYTES];
      for (uint32_t first = 0; first < rows;) {
        static Block block;
        static uint32_t own[BLOCK]; /* group + 1 of each packet; 0: it counts nowhere */
        uint32_t end = first + BLOCK < rows ? first + BLOCK : rows;
        for (uint32_t row = first; row < end; row++)
          stagePacket(&tracker, &block, row - first, src[row], dst[row], (uint32_t)srcPort[row], (uint32_t)dstPort[row], protocol[row]);
        findBlock(&tracker, &block, end - first);
        uint32_t changes = tracker.changes, row = first;
        for (; row < end && tracker.changes == changes; row++) {
          uint32_t at = row - first;
          if (kind[row] != 0 || family[row] != 4) fail("a record that this reference does not know in", folder);
          setClock(&tracker, timeUs[row]);
          uint32_t from = (uint32_t)srcPort[row], to = (uint32_t)dstPort[row];
          int state = protocol[row] == 6 ? takeStaged(&tracker, block.entry[at], block.isSwapped[at], tcpIndex[flags[row] & 63]) : -1;
          if (state < 0) {
            if (protocol[row] == 6) state = trackTcp(&tracker, src[row], dst[row], from, to, flags[row]);
            else if (protocol[row] == 17) state = trackUdp(&tracker, keyOf(src[row], dst[row], from, to, 17), block.entry[at]);
            else fail("a protocol that this reference does not know in", folder);
          }
          Entry *entry = tracker.entry;
          own[at] = 0;
          if (state == STATE_INVALID) {
            if (tracker.cause == CAUSE_NO_CONNECTION) fail("a connection without its opening in", folder);
            if (entry != NULL && entry->data != 0 && (groups.keys[entry->data - 1].decision & 3) == DENY) own[at] = entry->data;
            else invalid += 1;
            continue;
          }
          if (tracker.isCreated || entry->data == 0) {
            uint32_t asked = (uint32_t)protocol[row] << 17 | (to + 1);
            Memo *known = memoOf(memo, src[row], dst[row], asked);
            if (known->key != asked || known->src != src[row] || known->dst != dst[row]) {
              int32_t source = findEndpoint4(&program, src[row]), destination = findEndpoint4(&program, dst[row]);
              if (protocol[row] == 17 && !listens(&program, destination, 17, to)) fail("a connection that a reply opens in", folder);
              int32_t decision = decide(&program, program.cellBytes == 2, source, destination, portIndexOf(protocol[row], dstPort[row], -1));
              GroupKey key = {party[source] < 0 ? src[row] : (uint32_t)party[source], party[destination] < 0 ? dst[row] : (uint32_t)party[destination],
                              asked, decision};
              *known = (Memo){src[row], dst[row], asked, internGroup(&groups, key), source};
            }
            if (protocol[row] == 17 && listens(&program, known->source, 17, from)) fail("a connection that a reply opens in", folder);
            entry->data = known->group + 1;
            groups.connections[known->group] += 1;
          }
          own[at] = entry->data;
        }
        for (uint32_t at = 0; first < row; first++, at++)
          if (own[at] != 0)
            addSums(groups.sums + own[at] - 1, timeUs[first], (bytes[first] > 0 ? bytes[first] : 0) + (replyBytes[first] > 0 ? replyBytes[first] : 0));
      }
      records += rows;
      group += head[1];
    }
    seconds[pass] = nowSeconds() - began;
    double totals[3][3] = {{0}};
    for (uint32_t each = 0; each < groups.count; each++) {
      double *total = totals[groups.keys[each].decision & 3];
      total[0] += groups.connections[each];
      total[1] += groups.sums[each].records;
      total[2] += groups.sums[each].bytes;
    }
    hash = HASH_START;
    for (int verdict = 0; verdict < 3; verdict++)
      for (int sum = 0; sum < 3; sum++) hash = mixHash(hash, (uint32_t)(uint64_t)totals[verdict][sum]);
    hash = mixHash(mixHash(hash, groups.count), (uint32_t)invalid);
    free(tracker.entries);
    free(groups.keys);
    free(groups.sums);
    free(groups.connections);
    free(memo);
    free(groups.slots);
  }
  printResult(records, seconds, passes, hash, hash, 0);
  return 0;
}
