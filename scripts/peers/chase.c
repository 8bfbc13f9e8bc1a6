// Nanoseconds of a load that depends on the one before, for each working set named in bytes: a chase through every line of 64 bytes in
// random order, on 2 MB pages where the system gives them. Median of windows. Nothing of it is shared with the program that it checks.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { LINE = 64, WINDOWS = 21, LOADS = 20000 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// Where the chase has come to, so that the compiler does not leave it out.
static void *volatile kept;

static double latency(size_t bytes) {
  const size_t huge = (size_t)2 << 20, count = bytes / LINE, room = (bytes + huge - 1) / huge * huge;
  char *memory = aligned_alloc(huge, room);
  size_t *order = malloc(count * sizeof *order);
  if (!memory || !order) exit(1);
  madvise(memory, room, MADV_HUGEPAGE);
  for (size_t i = 0; i < count; i++) order[i] = i;
  uint64_t random = 88172645463325252u;
  for (size_t i = count - 1; i > 0; i--) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    size_t j = random % (i + 1), other = order[i];
    order[i] = order[j], order[j] = other;
  }
  for (size_t i = 0; i < count; i++)
    *(void **)(memory + order[i] * LINE) = memory + order[(i + 1) % count] * LINE;
  void **place = (void **)(memory + order[0] * LINE);
  for (size_t i = 0; i < count; i++) place = *place;
  double windows[WINDOWS];
  for (int w = 0; w < WINDOWS; w++) {
    double begin = now();
    for (int i = 0; i < LOADS; i++) place = *place;
    kept = place;
    windows[w] = (now() - begin) / LOADS;
  }
  qsort(windows, WINDOWS, sizeof *windows, ascending);
  free(order), free(memory);
  return windows[WINDOWS / 2];
}

int main(int count, char **sizes) {
  for (int i = 1; i < count; i++) printf("%s %.4f\n", sizes[i], latency((size_t)strtoull(sizes[i], 0, 10)));
  return 0;
}
