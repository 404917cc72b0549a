// The coupling on the processor: the best of the versions that this one can run.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "affine_math.h"
#include "coupling_job.h"

#define FLOWKIT_INLINE inline __attribute__((always_inline))
#define FLOWKIT_APART __attribute__((noinline))  // else its loops would have too few registers

#ifdef __SSE2__
#include <immintrin.h>
#endif
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
#define FLOWKIT_X86 1
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace flowkit {
namespace {

constexpr int64_t MOST_HIDDEN = 256;

#define FLOWKIT_INSTRUCTIONS 0
namespace plain {
constexpr int64_t LANES = 4, CELLS = 8;
#include "coupling_rows.h"
#include "normals.h"
}  // namespace plain
#undef FLOWKIT_INSTRUCTIONS

#ifdef FLOWKIT_X86
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define FLOWKIT_INSTRUCTIONS 256
namespace avx2 {
constexpr int64_t LANES = 8, CELLS = 12;
#include "coupling_rows.h"
#include "normals.h"
}  // namespace avx2
#undef FLOWKIT_INSTRUCTIONS
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,prefer-vector-width=512")
#define FLOWKIT_INSTRUCTIONS 512
namespace avx512 {
constexpr int64_t LANES = 16, CELLS = 12;
#include "coupling_rows.h"
#include "normals.h"
}  // namespace avx512
#undef FLOWKIT_INSTRUCTIONS
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,prefer-vector-width=512")
#define FLOWKIT_INSTRUCTIONS 512
namespace bf16 {
constexpr int64_t LANES = 16, CELLS = 12;
#include "coupling_rows.h"
#include "coupling_pairs.h"
}  // namespace bf16
#undef FLOWKIT_INSTRUCTIONS
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16,prefer-vector-width=512")
#define FLOWKIT_INSTRUCTIONS 512
namespace amx {
constexpr int64_t LANES = 16, CELLS = 12;
#include "coupling_rows.h"
#include "coupling_pairs.h"
#include "coupling_tiles.h"
}  // namespace amx
#undef FLOWKIT_INSTRUCTIONS
#pragma GCC pop_options

// The kernel lends the tiles only to who asks.
bool has_tiles() {
  constexpr long ASK = 0x1023, DATA = 18;
  unsigned a, b, c, d;
  __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
  const bool there = (d >> 22 & 1) && (d >> 24 & 1);
  __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(1));
  return there && (a >> 5 & 1) && syscall(SYS_arch_prctl, ASK, DATA) == 0;
}
#endif

int find_level() {
#ifdef FLOWKIT_X86
  __builtin_cpu_init();
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (wide && __builtin_cpu_supports("avx512bf16")) return has_tiles() ? 4 : 3;
  if (wide) return 2;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
  return 0;
}

}  // namespace
}  // namespace flowkit

// 4: matrix tiles for bfloat16, 3: AVX-512 with products of bfloat16, 2: AVX-512, 1: AVX2, 0: what every processor of this kind has.
extern "C" int flowkit_coupling_level() {
  static const int level = flowkit::find_level();
  return level;
}

// Returns 0, or 1 for a shape that it does not serve.
extern "C" int flowkit_coupling_inverse(const flowkit::Job* job, int level) {
  using namespace flowkit;
  if (job->hidden % 16 || job->hidden > MOST_HIDDEN || job->moved < 1 || job->kept < 1) return 1;
  level = std::min(level, flowkit_coupling_level());
#ifdef FLOWKIT_X86
  if (level == 4 && job->low && job->hidden % 32 == 0) {
    amx::compute<amx::Tiles, uint16_t>(*job);
  } else if (level >= 3 && job->low) {
    bf16::compute<bf16::Pairs, uint16_t>(*job);
  } else if (level >= 2) {
    job->low ? avx512::compute<avx512::Floats, uint16_t>(*job) : avx512::compute<avx512::Floats, float>(*job);
  } else if (level == 1) {
    job->low ? avx2::compute<avx2::Floats, uint16_t>(*job) : avx2::compute<avx2::Floats, float>(*job);
  } else
#endif
  {
    job->low ? plain::compute<plain::Floats, uint16_t>(*job) : plain::compute<plain::Floats, float>(*job);
  }
  return 0;
}

// See normals.h.
extern "C" void flowkit_normals(const uint32_t* bits, int64_t n, const float* constant, const float* linear,
                                const float* square, float* out) {
  using namespace flowkit;
#ifdef FLOWKIT_X86
  if (flowkit_coupling_level() >= 2) return avx512::normals(bits, n, constant, linear, square, out);
  if (flowkit_coupling_level() == 1) return avx2::normals(bits, n, constant, linear, square, out);
#endif
  plain::normals(bits, n, constant, linear, square, out);
}
