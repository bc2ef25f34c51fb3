/*
 * Connection tracking with the whole TCP machine of src/track (Linux's nf_conntrack without windows): one table of open addressing, one key
 * for both directions, expiry found when it is met. The answers are those of src/track/tracker.ts, packet by packet.
 *
 * Packets are taken in blocks, one step after another, so that what one of them waits for the others do not wait for: `stagePacket` makes
 * keys, `findBlock` compares several entries at once and so guesses nothing, and what the TCP machine makes of an ordinary packet stands in
 * a table. A packet that is not ordinary goes its way alone.
 */
#ifndef TRACK_H
#define TRACK_H

#include "reference.h"
#ifdef __AVX512F__
#include <immintrin.h>
#endif

enum { STATE_NEW, STATE_ESTABLISHED, STATE_RELATED, STATE_INVALID };
enum { CAUSE_NONE, CAUSE_FLAGS, CAUSE_TRANSITION, CAUSE_NO_CONNECTION };
enum { NONE, SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSED, SYN_SENT2, IMPOSSIBLE, IGNORED };
enum { SYN, SYN_ACK, FIN, ACK, RST, BAD };
enum { ACCEPT, IGNORE, REFUSE, REOPEN, KILL };
enum {
  PROTOCOL_MASK = 0xff, LIVE = 1 << 9, GRAVE = 1 << 10, KEY_MASK = 0x3ff, SWAPPED = 1 << 11, SEEN_REPLY = 1 << 12,
  ASSURED = 1 << 13, STATE_SHIFT = 14, STATE_MASK = 0xf << 14, LAST_SHIFT = 18, LAST_MASK = 7 << 18, LAST_REPLY = 1 << 21,
  CLOSE_INIT = 1 << 22, CHALLENGE = 1 << 23, SIMULTANEOUS = 1 << 24
};
enum { TICK_US = 10000, TICKS_PER_SECOND = 100, BACK_TICKS = 6000 };
/* Packets of a block; entries that are compared at once, of a table that stays in the cache and of a larger one. */
enum { BLOCK = 64, WINDOW = 8, LARGE_WINDOW = 4, LARGE_TABLE = 1 << 15 };
/* Bits of a meta word that choose a step, and what a step replaces. */
enum { STEP_SHIFT = 11, STEP_MASK = 127, STEP_BITS = 7, REPLACED = STATE_MASK | LAST_MASK | LAST_REPLY };

/* Half a cache line: a packet touches one. */
typedef struct {
  uint32_t first, second, ports, meta;
  int32_t expiry;
  uint32_t data;
  int32_t stream; /* UDP: the tick after which replies make a stream */
  uint32_t unused;
} Entry;

typedef struct {
  Entry *entries;
  uint32_t mask, shift, used, usedMost, count;
  int32_t tick;
  double epochUs, fromUs, toUs;
  int looseState;
  /* How often an entry was moved, deleted or made another one's. */
  uint32_t changes;
  /* Of the last packet. */
  Entry *entry;
  int isCreated, cause;
} Tracker;

/* In seconds, by state; the last is that of an ESTABLISHED entry that nobody has answered. */
static const int32_t TCP_SECONDS[] = {0, 120, 60, 432000, 120, 60, 30, 120, 10, 120, 300};
static uint8_t tcpIndex[64], tcpTable[100];

/* What an ordinary packet does: the bits that it sets, LIVE where it is not ordinary, CHALLENGE where it is not if that is set. */
typedef struct {
  uint32_t bits;
  int32_t ticks;
} Step;

static Step steps[(BAD + 1) << STEP_BITS];
static void buildSteps(void);

static void buildTables(void) {
  const char *rows = "SS.....SS2" "--R------R" "--FFLLLTX-" "E-EECCTTX-" "-XXXXXXXXX" "-2-----S-2" "-R.......R" "--FFLLLTX-" "-.RECCTTX." "-XXXXXXXXX";
  const char *letters = " SREFCLTX2-.";
  for (int cell = 0; cell < 100; cell++) tcpTable[cell] = (uint8_t)(strchr(letters, rows[cell]) - letters);
  memset(tcpIndex, BAD, sizeof tcpIndex);
  const uint8_t valid[][2] = {{2, SYN}, {34, SYN}, {18, SYN_ACK}, {17, FIN}, {49, FIN}, {16, ACK}, {48, ACK}, {4, RST}, {20, RST}};
  for (size_t each = 0; each < sizeof valid / 2; each++) tcpIndex[valid[each][0]] = tcpIndex[valid[each][0] | 8] = valid[each][1];
  buildSteps();
}

static void setCapacity(Tracker *tracker, uint32_t capacity) {
  /* Empty ones behind the last, for who compares several. */
  tracker->entries = allocate(capacity + WINDOW, sizeof(Entry));
  tracker->mask = capacity - 1;
  tracker->shift = 64 - (uint32_t)__builtin_ctz(capacity);
  tracker->usedMost = (uint32_t)((double)capacity * 0.625);
}

static Tracker createTracker(int isLoose) {
  Tracker tracker = {.epochUs = -1, .fromUs = 1, .toUs = 0, .looseState = isLoose ? ESTABLISHED : IMPOSSIBLE};
  setCapacity(&tracker, 1024);
  return tracker;
}

static inline void setClock(Tracker *tracker, double timeUs) {
  if (timeUs >= tracker->fromUs && timeUs < tracker->toUs) return;
  if (tracker->epochUs < 0) tracker->epochUs = timeUs;
  double ticks = (timeUs - tracker->epochUs) / TICK_US;
  int32_t tick = (int32_t)ticks - (ticks < (double)(int32_t)ticks);
  if (tick >= tracker->tick) tracker->tick = tick;
  else if (tick < tracker->tick - BACK_TICKS) tracker->epochUs = timeUs - (double)tracker->tick * TICK_US;
  else return;
  tracker->fromUs = tracker->epochUs + (double)tracker->tick * TICK_US;
  tracker->toUs = tracker->fromUs + TICK_US;
}

typedef struct {
  uint32_t first, second, ports, meta;
  int isSwapped;
} Key;

/* Addresses compare as signed numbers, as in the engine; any fixed order would do. */
static inline Key keyOf(uint32_t src, uint32_t dst, uint32_t srcPort, uint32_t dstPort, uint32_t protocol) {
  int isSwapped = (int32_t)src > (int32_t)dst || (src == dst && srcPort > dstPort);
  Key key = {isSwapped ? dst : src, isSwapped ? src : dst, isSwapped ? dstPort << 16 | srcPort : srcPort << 16 | dstPort,
             protocol | LIVE, isSwapped};
  return key;
}

static inline uint32_t slotOf(const Tracker *tracker, const Key *key) {
  uint64_t hash = ((uint64_t)key->first << 32 | key->second) * 0x9e3779b97f4a7c15u;
  hash = (hash ^ hash >> 32 ^ ((uint64_t)key->ports << 32 | key->meta)) * 0xd6e8feb86659fd93u;
  /* The high bits: everything in the key has a say in them. */
  return (uint32_t)(hash >> tracker->shift);
}

/* The entry of a key, or NULL and where to put it. */
static inline Entry *findEntry(const Tracker *tracker, const Key *key, Entry **place) {
  uint32_t slot = slotOf(tracker, key);
  Entry *free = NULL;
  for (;; slot = (slot + 1) & tracker->mask) {
    Entry *entry = tracker->entries + slot;
    uint32_t meta = entry->meta;
    if (meta == 0) {
      *place = free != NULL ? free : entry;
      return NULL;
    }
    if ((meta & LIVE) != 0 && entry->expiry > tracker->tick) {
      if (entry->ports == key->ports && entry->first == key->first && entry->second == key->second && (meta & KEY_MASK) == key->meta)
        return entry;
    } else if (free == NULL)
      free = entry;
  }
}

/* Graves and expired entries stay behind; the table grows if the living need it. */
static void rehash(Tracker *tracker) {
  Entry *old = tracker->entries;
  uint32_t capacity = tracker->mask + 1, live = 0;
  tracker->changes++;
  for (uint32_t slot = 0; slot < capacity; slot++)
    live += (old[slot].meta & LIVE) != 0 && old[slot].expiry > tracker->tick;
  uint32_t next = capacity;
  while (live > next / 2) next *= 2;
  setCapacity(tracker, next);
  for (uint32_t slot = 0; slot < capacity; slot++) {
    if ((old[slot].meta & LIVE) == 0 || old[slot].expiry <= tracker->tick) continue;
    Key key = {old[slot].first, old[slot].second, old[slot].ports, old[slot].meta & KEY_MASK, 0};
    Entry *place = NULL;
    findEntry(tracker, &key, &place);
    *place = old[slot];
  }
  tracker->used = tracker->count = live;
  free(old);
}

/* A live entry at `place` is the last connection of the same ends, whose place this one takes. */
static inline Entry *insertEntry(Tracker *tracker, const Key *key, Entry *place) {
  if (place->meta == 0) {
    if (tracker->used >= tracker->usedMost) {
      rehash(tracker);
      findEntry(tracker, key, &place);
    }
    if (place->meta == 0) tracker->used++;
  }
  if ((place->meta & LIVE) == 0) tracker->count++;
  else tracker->changes += place->expiry <= tracker->tick;
  *place = (Entry){key->first, key->second, key->ports, key->meta | (key->isSwapped ? SWAPPED : 0), tracker->tick + 1, 0, 0, 0};
  tracker->entry = place;
  tracker->isCreated = 1;
  return place;
}

/* Deletes an entry; its words can be read until the next packet. */
static inline void bury(Tracker *tracker, Entry *entry) {
  tracker->changes++;
  Entry *next = tracker->entries + (((uint32_t)(entry - tracker->entries) + 1) & tracker->mask);
  entry->meta = next->meta == 0 ? 0 : GRAVE;
  tracker->used -= entry->meta == 0;
  tracker->count--;
}

static inline void setLast(uint32_t *meta, int index, int isReply) {
  *meta = (*meta & ~(uint32_t)(LAST_MASK | LAST_REPLY)) | (uint32_t)index << LAST_SHIFT | (isReply ? LAST_REPLY : 0);
}

static inline int stepTcp(Entry *entry, int isReply, int index) {
  uint32_t meta = entry->meta;
  int old = (int)(meta >> STATE_SHIFT & 0xf), last = (int)(meta >> LAST_SHIFT & 7), wasReply = (meta & LAST_REPLY) != 0;
  int next = tcpTable[(isReply * 5 + index) * 10 + old];
  if (next == SYN_SENT && old >= TIME_WAIT) {
    if ((meta & CLOSE_INIT) != 0 || (wasReply == isReply && last == RST)) return REOPEN;
    next = IGNORED;
  }
  if (next == IGNORED) {
    if (index == SYN_ACK && last == SYN && wasReply != isReply) {
      old = SYN_SENT;
      next = SYN_RECV;
      meta &= ~(uint32_t)(CHALLENGE | CLOSE_INIT);
    } else {
      setLast(&meta, index, isReply);
      if (index == SYN && !isReply) {
        meta &= ~(uint32_t)(CHALLENGE | SIMULTANEOUS);
        if (old == LAST_ACK) meta |= CHALLENGE;
      }
      entry->meta = meta;
      return IGNORE;
    }
  } else if (next == IMPOSSIBLE) {
    return REFUSE;
  } else if (next == TIME_WAIT) {
    if (old == LAST_ACK && index == ACK && (meta & CHALLENGE) != 0 && last == SYN && wasReply != isReply) {
      entry->meta = meta & ~(uint32_t)CHALLENGE;
      return IGNORE;
    }
  } else if (next == SYN_SENT2) {
    meta |= SIMULTANEOUS;
  } else if (next == SYN_RECV && isReply && index == ACK && (meta & SIMULTANEOUS) != 0) {
    next = ESTABLISHED;
  }
  setLast(&meta, index, isReply);
  meta = (meta & ~(uint32_t)STATE_MASK) | (uint32_t)next << STATE_SHIFT;
  if (next == FIN_WAIT && old != next) meta |= CLOSE_INIT;
  if ((meta & SEEN_REPLY) == 0) {
    entry->meta = meta;
    return index == RST ? KILL : ACCEPT;
  }
  if (next == ESTABLISHED && (old == SYN_RECV || old == ESTABLISHED)) meta |= ASSURED;
  entry->meta = meta;
  return ACCEPT;
}

static inline void refreshTcp(Tracker *tracker, Entry *entry, int isReply) {
  uint32_t meta = entry->meta;
  int state = (int)(meta >> STATE_SHIFT & 0xf);
  if (state == ESTABLISHED && (meta & SEEN_REPLY) == 0) state = SYN_SENT2 + 1;
  entry->expiry = tracker->tick + TCP_SECONDS[state] * TICKS_PER_SECOND;
  if (isReply) entry->meta = meta | SEEN_REPLY;
}

static inline int refuse(Tracker *tracker, int cause) {
  tracker->cause = cause;
  return STATE_INVALID;
}

static inline int trackTcp(Tracker *tracker, uint32_t src, uint32_t dst, uint32_t srcPort, uint32_t dstPort, uint32_t flags) {
  Key key = keyOf(src, dst, srcPort, dstPort, 6);
  int index = tcpIndex[flags & 63];
  Entry *place = NULL, *entry = findEntry(tracker, &key, &place);
  tracker->entry = entry;
  tracker->isCreated = 0;
  if (entry != NULL) {
    uint32_t meta = entry->meta;
    int isReply = ((meta & SWAPPED) != 0) != key.isSwapped;
    if (index == BAD) return refuse(tracker, CAUSE_FLAGS);
    int outcome = stepTcp(entry, isReply, index);
    if (outcome != REOPEN) {
      if (outcome == REFUSE) return refuse(tracker, CAUSE_TRANSITION);
      if (outcome == ACCEPT) refreshTcp(tracker, entry, isReply);
      else if (outcome == KILL) bury(tracker, entry);
      else if (isReply) entry->meta |= SEEN_REPLY;
      return isReply || (meta & SEEN_REPLY) != 0 ? STATE_ESTABLISHED : STATE_NEW;
    }
    place = entry;
  }
  tracker->entry = NULL;
  if (index == BAD) return refuse(tracker, CAUSE_FLAGS);
  int state = tcpTable[index * 10];
  if (state == ESTABLISHED) state = tracker->looseState;
  if (state == IMPOSSIBLE) return refuse(tracker, CAUSE_NO_CONNECTION);
  entry = insertEntry(tracker, &key, place);
  entry->meta |= (uint32_t)state << STATE_SHIFT | (uint32_t)index << LAST_SHIFT;
  refreshTcp(tracker, entry, 0);
  return STATE_NEW;
}

/* `entry`: of the key, or NULL where nobody has looked. */
static inline int trackUdp(Tracker *tracker, Key key, Entry *entry) {
  Entry *place = NULL;
  if (entry == NULL || entry->expiry <= tracker->tick) entry = findEntry(tracker, &key, &place);
  tracker->entry = entry;
  tracker->isCreated = 0;
  if (entry == NULL) {
    entry = insertEntry(tracker, &key, place);
    entry->expiry = tracker->tick + 30 * TICKS_PER_SECOND;
    entry->stream = tracker->tick + 2 * TICKS_PER_SECOND;
    return STATE_NEW;
  }
  uint32_t meta = entry->meta;
  int isReply = ((meta & SWAPPED) != 0) != key.isSwapped;
  int isStream = (meta & SEEN_REPLY) != 0 && tracker->tick > entry->stream;
  entry->expiry = tracker->tick + (isStream ? 120 : 30) * TICKS_PER_SECOND;
  entry->meta = meta | (isStream ? ASSURED : 0) | (isReply ? SEEN_REPLY : 0);
  return isReply || (meta & SEEN_REPLY) != 0 ? STATE_ESTABLISHED : STATE_NEW;
}

/* A table of what stepTcp and refreshTcp do where nothing else of the entry matters. */
static void buildSteps(void) {
  for (int index = 0; index <= BAD; index++)
    for (uint32_t bits = 0; bits <= STEP_MASK; bits++) {
      Step *step = &steps[index << STEP_BITS | bits];
      int isReply = (int)(bits & 1), old = (int)((bits << STEP_SHIFT & STATE_MASK) >> STATE_SHIFT);
      *step = (Step){LIVE, 0};
      if (index == BAD || old < SYN_SENT || old > SYN_SENT2) continue;
      Entry entry = {.meta = LIVE | ((bits & ~1u) << STEP_SHIFT)};
      setLast(&entry.meta, BAD, isReply);
      Entry simultaneous = entry, challenged = entry;
      simultaneous.meta |= SIMULTANEOUS;
      challenged.meta |= CHALLENGE;
      setLast(&challenged.meta, SYN, !isReply);
      uint32_t kept = entry.meta & ~(uint32_t)REPLACED;
      if (stepTcp(&entry, isReply, index) != ACCEPT) continue;
      if (stepTcp(&simultaneous, isReply, index) != ACCEPT || simultaneous.meta != (entry.meta | SIMULTANEOUS)) continue;
      Tracker tracker = {0};
      uint32_t set = entry.meta & ~kept;
      refreshTcp(&tracker, &entry, isReply);
      step->bits = set | (isReply ? SEEN_REPLY : 0);
      step->ticks = entry.expiry;
      if (stepTcp(&challenged, isReply, index) != ACCEPT) step->bits |= CHALLENGE;
    }
}

/* Packets of a block, column by column. */
typedef struct {
  uint64_t ends[BLOCK], rest[BLOCK]; /* the first four words of an entry */
  uint32_t slot[BLOCK], isSwapped[BLOCK];
  Entry *entry[BLOCK];
} Block;

static inline void stagePacket(const Tracker *tracker, Block *block, size_t at, uint32_t src, uint32_t dst, uint32_t srcPort, uint32_t dstPort,
                               uint32_t protocol) {
  Key key = keyOf(src, dst, srcPort, dstPort, protocol);
  block->ends[at] = (uint64_t)key.second << 32 | key.first;
  block->rest[at] = (uint64_t)key.meta << 32 | key.ports;
  block->slot[at] = slotOf(tracker, &key);
  block->isSwapped[at] = (uint32_t)key.isSwapped;
}

/* The entry of a staged packet among the first `window` from where its probe begins, expired or not, or NULL. */
static inline __attribute__((always_inline)) Entry *findStaged(const Tracker *tracker, const Block *block, size_t at, int window) {
  Entry *entry = tracker->entries + block->slot[at];
#ifdef __AVX512F__
  /* Two entries a register; of each the first sixteen bytes count. */
  const __m512i key = _mm512_broadcast_i64x2(_mm_set_epi64x((long long)block->rest[at], (long long)block->ends[at]));
  const __m512i mask = _mm512_broadcast_i64x4(_mm256_set_epi64x(0, 0, (long long)((uint64_t)KEY_MASK << 32 | 0xffffffff), -1));
  uint32_t differs = 0;
  for (int pair = 0; pair < window / 2; pair++)
    differs |= (uint32_t)_mm512_test_epi64_mask(_mm512_xor_si512(_mm512_loadu_si512(entry + 2 * pair), key), mask) << 8 * pair;
  uint32_t found = ~(differs | differs >> 1) & 0x11111111u >> (32 - 4 * window);
  return found == 0 ? NULL : entry + (__builtin_ctz(found) >> 2);
#else
  uint32_t found = 0;
  for (int each = 0; each < window; each++) {
    uint64_t ends, rest;
    memcpy(&ends, &entry[each].first, sizeof ends);
    memcpy(&rest, &entry[each].ports, sizeof rest);
    found |= (uint32_t)(((ends ^ block->ends[at]) | ((rest ^ block->rest[at]) & ((uint64_t)KEY_MASK << 32 | 0xffffffff))) == 0) << each;
  }
  return found == 0 ? NULL : entry + __builtin_ctz(found);
#endif
}

static inline __attribute__((always_inline)) void findInWindow(const Tracker *tracker, Block *block, size_t count, int window) {
  for (size_t at = 0; at < count; at++) block->entry[at] = findStaged(tracker, block, at, window);
}

/* The entries of staged packets. */
static inline void findBlock(const Tracker *tracker, Block *block, size_t count) {
  if (tracker->mask < LARGE_TABLE) findInWindow(tracker, block, count, WINDOW);
  else findInWindow(tracker, block, count, LARGE_WINDOW);
}

/* Takes a TCP packet that is ordinary to its entry: STATE_NEW or STATE_ESTABLISHED; -1: it has to go its way alone. Staged packets are good for
 * as long as `changes` does. */
static inline int takeStaged(Tracker *tracker, Entry *entry, uint32_t isSwapped, uint32_t index) {
  if (entry == NULL || entry->expiry <= tracker->tick) return -1;
  uint32_t meta = entry->meta;
  const Step *step = &steps[index << STEP_BITS | ((meta >> STEP_SHIFT & STEP_MASK) ^ isSwapped)];
  if ((step->bits & meta & (LIVE | CHALLENGE)) != 0) return -1;
  entry->meta = meta = (meta & ~(uint32_t)REPLACED) | (step->bits & ~(uint32_t)CHALLENGE);
  entry->expiry = tracker->tick + step->ticks;
  tracker->entry = entry;
  tracker->isCreated = 0;
  return (meta & SEEN_REPLY) != 0 ? STATE_ESTABLISHED : STATE_NEW;
}

#endif
