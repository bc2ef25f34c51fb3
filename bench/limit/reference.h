/*
 * Common to the references in C that the engine is held against: reads the columns that bench/limit prepared, times passes and hashes what
 * came out, and prints one line of JSON, as the contenders in TypeScript do. The references are plain C, written to be fast.
 */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST_PASSES 64

typedef struct {
  void *data;
  size_t bytes;
} File;

static void fail(const char *what, const char *which) {
  fprintf(stderr, "%s %s\n", what, which);
  exit(1);
}

/* A whole file, mapped privately. An empty file has no data. */
static File readFile(const char *folder, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int descriptor = open(path, O_RDONLY);
  struct stat status;
  if (descriptor < 0 || fstat(descriptor, &status) != 0) fail("cannot read", path);
  File file = {NULL, (size_t)status.st_size};
  if (file.bytes > 0) {
    file.data = mmap(NULL, file.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_POPULATE, descriptor, 0);
    if (file.data == MAP_FAILED) fail("cannot map", path);
  }
  close(descriptor);
  return file;
}

static void *allocate(size_t count, size_t size) {
  void *data = NULL;
  if (posix_memalign(&data, 64, count * size + 64) != 0) fail("no memory for", "a table");
  memset(data, 0, count * size + 64);
  return data;
}

/* Time of this thread on a processor: waiting for the turn of other work is not part of it. */
static double nowSeconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static uint32_t mixHash(uint32_t hash, uint32_t value) { return (hash ^ value) * 0x01000193u; }

static inline uint32_t hashWords(uint32_t hash, const uint32_t *words, size_t count) {
  for (size_t index = 0; index < count; index++) hash = mixHash(hash, words[index]);
  return hash;
}

#define HASH_START 0x811c9dc5u

static void printResult(size_t count, const double *seconds, int passes, uint32_t all, uint32_t first, double bytes) {
  printf("{\"count\":%zu,\"seconds\":[", count);
  for (int pass = 0; pass < passes; pass++) printf("%s%.9f", pass == 0 ? "" : ",", seconds[pass]);
  printf("],\"all\":\"%08x\",\"first\":\"%08x\",\"bytes\":%.0f}\n", all, first, bytes);
}

#endif
