/*
 * A Program as src/compile/layout.ts lays it out, and a decision over it: the same buffer that the engine reads, the same answers. Services
 * are not translated here; a flow that asks for one ends the run, so that nothing is compared that was not done.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "reference.h"

enum { MAGIC = 0x31504344, LAYOUT_VERSION = 4, HEADER_WORDS = 24 };
enum { HEADER_BYTES = 2, EGRESS_PAGES_PER_ROW = 4, INGRESS_PAGES_PER_ROW = 5, PAGES_PER_VECTOR = 6, DIALECT = 11, CELL_BYTES = 12 };
enum { OWN_NODE_INGRESS = 1, OWN_NODE_EGRESS = 2 };
enum { EGRESS_ROW, EGRESS_COLUMN, INGRESS_ROW, INGRESS_COLUMN, SELF, KIND, OBJECT, NODE_NUMBER, STRIDE };
enum { OUTSIDE = 0, POD = 1, NODE = 3, SERVICE = 4, KIND_MASK = 7, IPV6 = 8 };
enum { UDP_PORTS = 65536, SCTP_PORTS = 131072, OTHER_PROTOCOLS = 196608, UNKNOWN_PORTS = 196864, EXEMPT_PORTS = 196867 };
enum { EXEMPT_CLASS = 0 };
enum { DENY = 0, UNDECIDABLE = 1, ALLOW = 2 };
enum { SAME_POD = 5, OWN_NODE = 6, DIALECT_EXEMPT = 7 };
enum {
  ROOT4 = 0, MID4 = 1, LEAF4 = 2, ENDPOINTS = 10, EGRESS_PAGE_INDEX = 11, EGRESS_PAGES = 12, INGRESS_PAGE_INDEX = 13,
  INGRESS_PAGES = 14, PORT_CLASSES = 15, VECTOR_PAGE_INDEX = 16, VECTOR_PAGES = 17, OUTCOMES = 18, SECTIONS = 23
};

typedef struct {
  uint32_t egressPagesPerRow, ingressPagesPerRow, pagesPerVector, dialect, cellBytes;
  uint32_t firstRare; /* endpoints from here on may need more than their row and column */
  const int32_t *leaf4, *endpoints;
  const uint32_t *root4, *mid4, *egressPageIndex, *ingressPageIndex, *vectorPageIndex, *outcomes;
  const void *egressPages, *ingressPages; /* cells of two or four bytes */
  const uint16_t *portClasses, *vectorPages;
  size_t bytes;
} Program;

/* Nodes and Services come last; before them is a pod with a second IPv4 address, if there is one. */
static uint32_t findFirstRare(const int32_t *endpoints, uint32_t count) {
  int32_t last = -1;
  for (uint32_t id = 0; id < count; id++) {
    const int32_t *own = endpoints + id * STRIDE;
    if ((own[KIND] & KIND_MASK) >= NODE) return id;
    if (own[SELF] < 0 || own[KIND] & IPV6) continue;
    if (own[SELF] == last) return id;
    last = own[SELF];
  }
  return count;
}

static Program readProgram(const char *folder) {
  File file = readFile(folder, "program.bin");
  const uint32_t *header = file.data;
  if (header[0] != MAGIC || header[1] != LAYOUT_VERSION || header[3] != SECTIONS)
    fail("the Program has another layout than this reference knows:", folder);
  if (header[HEADER_WORDS + 3 * MID4 + 2] == 0) fail("IPv4 is in the form of fragments, which this reference does not read:", folder);
  const void *sections[SECTIONS];
  for (int section = 0; section < SECTIONS; section++)
    sections[section] = (char *)file.data + header[HEADER_WORDS + 3 * section + 1];
  uint32_t endpointCount = header[HEADER_WORDS + 3 * ENDPOINTS + 2] / STRIDE;
  return (Program){
      .firstRare = findFirstRare(sections[ENDPOINTS], endpointCount),
      .egressPagesPerRow = header[EGRESS_PAGES_PER_ROW], .ingressPagesPerRow = header[INGRESS_PAGES_PER_ROW],
      .pagesPerVector = header[PAGES_PER_VECTOR], .dialect = header[DIALECT],
      .cellBytes = header[CELL_BYTES],
      .root4 = sections[ROOT4], .mid4 = sections[MID4], .leaf4 = sections[LEAF4], .endpoints = sections[ENDPOINTS],
      .egressPageIndex = sections[EGRESS_PAGE_INDEX], .egressPages = sections[EGRESS_PAGES],
      .ingressPageIndex = sections[INGRESS_PAGE_INDEX], .ingressPages = sections[INGRESS_PAGES],
      .vectorPageIndex = sections[VECTOR_PAGE_INDEX], .outcomes = sections[OUTCOMES],
      .portClasses = sections[PORT_CLASSES], .vectorPages = sections[VECTOR_PAGES], .bytes = file.bytes};
}

static inline int32_t findEndpoint4(const Program *program, uint32_t address) {
  uint32_t cell = program->mid4[program->root4[address >> 16] + (address >> 8 & 255)];
  return program->leaf4[(cell >> 8) + (address & cell & 255)];
}

static inline uint32_t portIndexOf(uint32_t protocol, int32_t port, int32_t icmp) {
  if (protocol == 6) return port < 0 ? UNKNOWN_PORTS : (uint32_t)port;
  if (protocol == 17) return port < 0 ? UNKNOWN_PORTS + 1 : UDP_PORTS + (uint32_t)port;
  if (protocol == 132) return port < 0 ? UNKNOWN_PORTS + 2 : SCTP_PORTS + (uint32_t)port;
  if (protocol == 58 && icmp >> 8 >= 133 && icmp >> 8 <= 137) return EXEMPT_PORTS;
  return OTHER_PROTOCOLS + protocol;
}

static inline uint32_t outcomeAt(const Program *program, uint32_t vector, uint32_t class) {
  uint32_t page = program->vectorPageIndex[vector * program->pagesPerVector + (class >> 6)];
  return program->outcomes[program->vectorPages[page << 6 | (class & 63)]];
}

/* Traffic between a pod and its own node, where the dialect lets it pass. */
static uint32_t exemptOwnNode(const Program *program, const int32_t *node, const int32_t *pod, uint32_t flag, uint32_t outcome) {
  int isExempt = (program->dialect & flag) != 0 && (pod[KIND] & KIND_MASK) == POD && pod[NODE_NUMBER] >= 0 &&
                 pod[NODE_NUMBER] == node[NODE_NUMBER];
  return isExempt ? OWN_NODE | ALLOW << 6 : outcome;
}

static inline uint32_t cellAt(const void *pages, uint32_t page, uint32_t column, int isShort) {
  uint32_t cell = page << 6 | (column & 63);
  return isShort ? ((const uint16_t *)pages)[cell] : ((const uint32_t *)pages)[cell];
}

/* Verdict (bits 0-1), egress reason (2-7), ingress reason (8-13), missing facts (14-29). */
static inline int32_t combine(uint32_t egress, uint32_t ingress) {
  uint32_t egressVerdict = egress >> 6 & 3, ingressVerdict = ingress >> 6 & 3;
  uint32_t verdict = egressVerdict < ingressVerdict ? egressVerdict : ingressVerdict;
  uint32_t missing = verdict == UNDECIDABLE ? egress >> 8 | ingress >> 8 : 0;
  return (int32_t)(verdict | (egress & 63) << 2 | (ingress & 63) << 8 | missing << 14);
}

static inline __attribute__((always_inline)) uint32_t egressVector(const Program *program, int isShort, const int32_t *src, const int32_t *dst) {
  uint32_t page = program->egressPageIndex[(uint32_t)src[EGRESS_ROW] * program->egressPagesPerRow + ((uint32_t)dst[EGRESS_COLUMN] >> 6)];
  return cellAt(program->egressPages, page, (uint32_t)dst[EGRESS_COLUMN], isShort);
}

static inline __attribute__((always_inline)) uint32_t ingressVector(const Program *program, int isShort, const int32_t *src, const int32_t *dst) {
  uint32_t page = program->ingressPageIndex[(uint32_t)dst[INGRESS_ROW] * program->ingressPagesPerRow + ((uint32_t)src[INGRESS_COLUMN] >> 6)];
  return cellAt(program->ingressPages, page, (uint32_t)src[INGRESS_COLUMN], isShort);
}

/* The packed decision of a flow; `isShort`, a constant where it is called: cells of two bytes. */
static inline __attribute__((always_inline)) int32_t decide(const Program *program, int isShort, int32_t source, int32_t destination, uint32_t portIndex) {
  const int32_t *src = program->endpoints + source * STRIDE, *dst = program->endpoints + destination * STRIDE;
  uint32_t class = program->portClasses[portIndex];
  if (__builtin_expect(class == EXEMPT_CLASS, 0)) return ALLOW | DIALECT_EXEMPT << 2 | DIALECT_EXEMPT << 8;
  if (__builtin_expect((dst[KIND] & KIND_MASK) == SERVICE, 0)) fail("a Service is asked for, which this reference", "does not translate");
  if (__builtin_expect(src[SELF] >= 0 && src[SELF] == dst[SELF], 0)) return ALLOW | SAME_POD << 2 | SAME_POD << 8;
  uint32_t egress = outcomeAt(program, egressVector(program, isShort, src, dst), class);
  uint32_t ingress = outcomeAt(program, ingressVector(program, isShort, src, dst), class);
  if (__builtin_expect((src[KIND] & KIND_MASK) == NODE, 0)) ingress = exemptOwnNode(program, src, dst, OWN_NODE_INGRESS, ingress);
  if (__builtin_expect((dst[KIND] & KIND_MASK) == NODE, 0)) egress = exemptOwnNode(program, dst, src, OWN_NODE_EGRESS, egress);
  return combine(egress, ingress);
}

#endif
