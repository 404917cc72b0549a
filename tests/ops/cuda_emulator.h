// As much of CUDA as affine_kernels.cuh uses, for a compiler for the processor.
//
// The threads of a block are contexts that run in turn, each up to its next barrier; so it shows wrong indices,
// alignments and sums, but neither races nor speed.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#define __host__
#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(threads)

struct Dim {
  unsigned x;
};
inline Dim threadIdx, blockIdx;

struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};

namespace emulator {

inline int64_t wide = 0;

// A misaligned access ends the program, as it would on a GPU.
template <typename T>
T* checked(T* p) {
  if (reinterpret_cast<uintptr_t>(p) % alignof(uint4)) std::abort();
  ++wide;
  return p;
}

}  // namespace emulator

inline uint4 __ldg(const uint4* p) { return *emulator::checked(p); }
inline void __stwb(uint4* p, uint4 value) { *emulator::checked(p) = value; }

struct __nv_bfloat16 {
  uint16_t bits;
};
inline float __bfloat162float(__nv_bfloat16 x) {
  const uint32_t bits = uint32_t(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
inline __nv_bfloat16 __float2bfloat16_rn(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

struct __half {
  _Float16 value;
};
inline float __half2float(__half x) { return static_cast<float>(x.value); }
inline __half __float2half_rn(float x) { return {static_cast<_Float16>(x)}; }

namespace emulator {

struct Thread {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  bool done;
};

constexpr size_t STACK = 1 << 16;
inline ucontext_t scheduler;
inline std::vector<Thread> threads;
inline std::function<void()> body;
inline double exchange[1024];

inline void barrier() { swapcontext(&threads[threadIdx.x].context, &scheduler); }

inline void entry() {
  body();
  threads[threadIdx.x].done = true;
}

inline void run_block(unsigned count) {
  threads.resize(count);
  for (Thread& thread : threads) {
    if (!thread.stack) thread.stack = std::make_unique<char[]>(STACK);
    getcontext(&thread.context);
    thread.context.uc_stack = {thread.stack.get(), 0, STACK};
    thread.context.uc_link = &scheduler;
    thread.done = false;
    makecontext(&thread.context, entry, 0);
  }
  for (bool left = true; left;) {
    left = false;
    for (threadIdx.x = 0; threadIdx.x < count; ++threadIdx.x) {
      Thread& thread = threads[threadIdx.x];
      if (thread.done) continue;
      swapcontext(&scheduler, &thread.context);
      left |= !thread.done;
    }
  }
}

}  // namespace emulator

inline void __syncthreads() { emulator::barrier(); }

template <typename T>
T __shfl_down_sync(unsigned, T value, int distance) {
  const unsigned here = threadIdx.x, warp = 32;
  emulator::exchange[here] = value;
  emulator::barrier();
  const unsigned there = here + static_cast<unsigned>(distance);
  const T found = there / warp == here / warp ? static_cast<T>(emulator::exchange[there]) : value;
  emulator::barrier();
  return found;
}

namespace emulator {

// In place of <<<blocks, threads>>>.
template <unsigned THREADS>
struct Launch {
  template <typename... Parameters, typename... Arguments>
  void operator()(void (*kernel)(Parameters...), int64_t blocks, Arguments... arguments) const {
    body = [=] { kernel(arguments...); };
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) run_block(THREADS);
  }
  template <typename... All>
  void after(All... all) const {
    (*this)(all...);
  }
};

}  // namespace emulator
