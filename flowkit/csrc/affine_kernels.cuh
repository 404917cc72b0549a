// The affine op on a GPU: kernels on raw pointers and the choice among them; no torch, no launch syntax, so
// that a compiler for the processor can read them as well (tests/ops/cuda_emulator.h runs them there).
//
// Blocks, and what each adds up in which order, depend on the shape alone: the same input gives the same bits.
#pragma once

#include "affine_job.h"
#include "affine_math.h"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace flowkit {

constexpr int THREADS = 256;
constexpr int WARP = 32, WARPS = THREADS / WARP;

// Elements of a thread: one pack of sixteen bytes. Two are slower: other blocks keep the memory busy.
template <typename S>
constexpr int EACH = 16 / sizeof(S);
// Of a block, all of one sample.
template <typename S>
constexpr int CHUNK = THREADS * EACH<S>;

FLOWKIT_HD float to_real(float x) { return x; }
FLOWKIT_HD double to_real(double x) { return x; }
FLOWKIT_HD float to_real(__half x) { return __half2float(x); }
FLOWKIT_HD float to_real(__nv_bfloat16 x) { return __bfloat162float(x); }
FLOWKIT_HD void assign(float& to, float x) { to = x; }
FLOWKIT_HD void assign(double& to, double x) { to = x; }
FLOWKIT_HD void assign(__half& to, float x) { to = __float2half_rn(x); }
FLOWKIT_HD void assign(__nv_bfloat16& to, float x) { to = __float2bfloat16_rn(x); }

// WIDTH neighbours. Sixteen bytes travel as one word: nvcc cuts a copy of the structure itself into four.
template <typename S, int WIDTH>
struct Pack {
  union {
    uint4 word;
    S values[WIDTH];
  };
  __device__ Pack() {}
  __device__ Real<S> operator[](int i) const { return to_real(values[i]); }
  __device__ void set(int i, Real<S> x) { assign(values[i], x); }
};

template <typename S, int WIDTH>
__device__ inline Pack<S, WIDTH> load(const S* from) {
  Pack<S, WIDTH> pack;
  if constexpr (WIDTH * sizeof(S) == sizeof(uint4)) {
    pack.word = __ldg(reinterpret_cast<const uint4*>(from));
  } else {
    pack.values[0] = *from;
  }
  return pack;
}

template <typename S, int WIDTH>
__device__ inline void store(S* to, const Pack<S, WIDTH>& pack) {
  if constexpr (WIDTH * sizeof(S) == sizeof(uint4)) {
    __stwb(reinterpret_cast<uint4*>(to), pack.word);
  } else {
    *to = pack.values[0];
  }
}

// Neighbours of which every other one belongs to `even`, and those between to `odd`: interleaved channels_last.
template <typename S, int WIDTH>
__device__ inline void load_pairs(const S* from, Pack<S, WIDTH>& even, Pack<S, WIDTH>& odd) {
  const Pack<S, WIDTH> halves[2] = {load<S, WIDTH>(from), load<S, WIDTH>(from + WIDTH)};
#pragma unroll
  for (int i = 0; i < WIDTH; ++i) {
    even.values[i] = halves[2 * i / WIDTH].values[2 * i % WIDTH];
    odd.values[i] = halves[(2 * i + 1) / WIDTH].values[(2 * i + 1) % WIDTH];
  }
}

template <typename S, int WIDTH>
__device__ inline void store_pairs(S* to, const Pack<S, WIDTH>& even, const Pack<S, WIDTH>& odd) {
  Pack<S, WIDTH> halves[2];
#pragma unroll
  for (int i = 0; i < WIDTH; ++i) {
    halves[2 * i / WIDTH].values[2 * i % WIDTH] = even.values[i];
    halves[(2 * i + 1) / WIDTH].values[(2 * i + 1) % WIDTH] = odd.values[i];
  }
  store(to, halves[0]);
  store(to + WIDTH, halves[1]);
}

// Where a pack lies in z, and whether it is to be moved.
struct Place {
  int64_t row, column;
  bool inside, moved;
};

// Of the element `offset` behind (row, column). Only within short rows is there a division, of 32 bits.
__device__ inline Place place(const Extent& e, int64_t row, int64_t column, int offset, int64_t left, int chunk) {
  Place at{row, column + offset, offset < left, false};
  if (e.columns >= chunk) {
    if (at.column >= e.columns) at.column -= e.columns, ++at.row;
  } else {
    const uint32_t columns = static_cast<uint32_t>(e.columns), index = static_cast<uint32_t>(at.column);
    at.row += index / columns;
    at.column = index % columns;
  }
  at.moved = at.inside && at.row >= e.row_from && at.row < e.row_to && at.column >= e.column_from &&
             at.column < e.column_to;
  return at;
}

template <typename S>
__device__ inline S* address(const Rows<S>& t, int64_t sample, const Place& at) {
  return t.data + sample * t.sample + at.row * t.row + at.column * t.column;
}

template <typename S>
__device__ inline S* address_moved(const Rows<S>& t, const Extent& e, int64_t sample, const Place& at) {
  return t.data + sample * t.sample + (at.row - e.row_from) * t.row + (at.column - e.column_from) * t.column;
}

// The block's sum, of thread 0; always added in the same order.
template <typename T>
__device__ T block_sum(T value) {
  __shared__ T warps[WARPS];
#pragma unroll
  for (int distance = WARP / 2; distance > 0; distance /= 2) {
    value += __shfl_down_sync(0xffffffffu, value, distance);
  }
  if (threadIdx.x % WARP == 0) warps[threadIdx.x / WARP] = value;
  __syncthreads();
  if (threadIdx.x != 0) return T(0);
  T sum = 0;
#pragma unroll
  for (int i = 0; i < WARPS; ++i) sum += warps[i];
  return sum;
}

template <typename S, int WIDTH>
struct Loaded {
  Pack<S, WIDTH> z, shift, raw, by_out;
};

// A block's work: all of its loads are on their way before the first one is waited for.
template <typename S, int WIDTH, int SCALE, bool BACKWARD>
struct Work {
  using T = Real<S>;
  static constexpr int PACKS = EACH<S> / WIDTH;
  const Job<S>& job;
  int64_t sample;
  bool paired;
  T log_eps;

  __device__ Loaded<S, WIDTH> read(const Place& at) const {
    Loaded<S, WIDTH> in;
    if (!at.inside) return in;
    if (BACKWARD) in.by_out = load<S, WIDTH>(address(job.by_out, sample, at));
    if (!BACKWARD || at.moved) in.z = load<S, WIDTH>(address(job.z, sample, at));
    if (!at.moved) return in;
    const S* shift = address_moved(job.shift, job.extent, sample, at);
    if (WIDTH > 1 && paired) {
      load_pairs(shift, in.shift, in.raw);
    } else {
      in.shift = load<S, WIDTH>(shift);
      in.raw = load<S, WIDTH>(address_moved(job.raw, job.extent, sample, at));
    }
    return in;
  }

  // The map, or its gradients, of one pack; returns its sum of log s.
  __device__ T map(const Place& at, const Loaded<S, WIDTH>& in) const {
    Pack<S, WIDTH> out, by_shift, by_raw;
    T sum = 0;
    const T by_log_det = BACKWARD ? job.by_log_det[sample] : T(0);
    const bool inverse = job.mode.inverse;
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
      LogScale<T, SCALE> log_s(in.raw[i]);
      if (job.mode.eps > 0) log_s.add(log_eps);
      if (BACKWARD) {
        const T d = by_input(in.by_out[i], log_s.value, inverse);
        out.set(i, d);
        by_shift.set(i, by_offset(d, in.by_out[i], inverse));
        by_raw.set(i, by_log_scale(d, by_log_det, in.z[i], in.shift[i], inverse) * log_s.slope);
      } else {
        sum += log_s.value;
        out.set(i, moved(in.z[i], in.shift[i], log_s.value, inverse));
      }
    }
    store(address(job.out, sample, at), out);
    if (BACKWARD) {
      S* to = address_moved(job.by_shift, job.extent, sample, at);
      if (WIDTH > 1 && paired) {
        store_pairs(to, by_shift, by_raw);
      } else {
        store(to, by_shift);
        store(address_moved(job.by_raw, job.extent, sample, at), by_raw);
      }
    }
    return sum;
  }

  __device__ T run(int64_t chunk) const {
    const Extent& e = job.extent;
    const int64_t first = chunk * CHUNK<S>, left = e.rows * e.columns - first;
    const int64_t row = first / e.columns, column = first % e.columns;
    Place at[PACKS];
    Loaded<S, WIDTH> in[PACKS];
#pragma unroll
    for (int i = 0; i < PACKS; ++i) {
      at[i] = place(e, row, column, (i * THREADS + static_cast<int>(threadIdx.x)) * WIDTH, left,
                    CHUNK<S>);
      in[i] = read(at[i]);
    }
    T sum = 0;
#pragma unroll
    for (int i = 0; i < PACKS; ++i) {
      if (at[i].moved) {
        sum += map(at[i], in[i]);
      } else if (at[i].inside) {
        store(address(job.out, sample, at[i]), BACKWARD ? in[i].by_out : in[i].z);
      }
    }
    return sum;
  }
};

// One block for each chunk of each sample; forward, `partial` takes the chunk's sum of log s.
template <typename S, int WIDTH, int SCALE, bool BACKWARD>
__global__ void __launch_bounds__(THREADS) affine_kernel(Job<S> job, bool paired, Real<S> log_eps, int64_t chunks,
                                                         Real<S>* partial) {
  const int64_t block = blockIdx.x;
  const Work<S, WIDTH, SCALE, BACKWARD> work{job, block / chunks, paired, log_eps};
  const Real<S> sum = work.run(block % chunks);
  if (BACKWARD) return;
  const Real<S> total = block_sum(sum);
  if (threadIdx.x == 0) partial[block] = total;
}

// Waits for the kernel before. Only code for these architectures can, and be launched while that one runs.
constexpr int WAITING_ARCHITECTURE = 900;
__device__ inline void wait_for_earlier() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}

// One block for each sample adds up its chunks.
template <typename T>
__global__ void __launch_bounds__(THREADS) sum_kernel(const T* partial, T* log_det, int64_t chunks, bool negative) {
  wait_for_earlier();
  double sum = 0;
  for (int64_t i = threadIdx.x; i < chunks; i += THREADS) sum += partial[blockIdx.x * chunks + i];
  const double total = block_sum(sum);
  if (threadIdx.x == 0) log_det[blockIdx.x] = static_cast<T>(negative ? -total : total);
}

template <typename S>
int64_t chunks_of(const Job<S>& job) {
  constexpr int64_t chunk = CHUNK<S>;
  return (job.extent.rows * job.extent.columns + chunk - 1) / chunk;
}

// Whether shift and raw, and their gradients, are every other element of the same memory.
template <typename S>
bool is_paired(const Job<S>& job, bool backward) {
  const bool read = job.shift.column == 2 && job.raw.data == job.shift.data + 1;
  const bool written = job.by_shift.column == 2 && job.by_raw.data == job.by_shift.data + 1;
  const auto alike = [](const auto& a, const auto& b) { return a.row == b.row && a.sample == b.sample; };
  return read && alike(job.shift, job.raw) && (!backward || (written && alike(job.by_shift, job.by_raw)));
}

// Whether every pack of sixteen bytes lies in one piece, on its boundary, and is moved or kept as a whole.
template <typename S>
bool is_wide(const Job<S>& job, bool backward, bool paired) {
  constexpr int64_t width = sizeof(uint4) / sizeof(S);
  const Extent& e = job.extent;
  const auto whole = [&](const auto& t, int64_t rows, int64_t step) {
    return t.column == step && (e.samples == 1 || t.sample % width == 0) && (rows == 1 || t.row % width == 0) &&
           reinterpret_cast<uintptr_t>(t.data) % sizeof(uint4) == 0;
  };
  const auto parameter = [&](const auto& t, bool first) {
    return paired ? !first || whole(t, e.moved_rows(), 2) : whole(t, e.moved_rows(), 1);
  };
  const bool read = whole(job.z, e.rows, 1) && whole(job.out, e.rows, 1) && parameter(job.shift, true) &&
                    parameter(job.raw, false);
  const bool written = !backward || (whole(job.by_out, e.rows, 1) && parameter(job.by_shift, true) &&
                                     parameter(job.by_raw, false));
  return read && written && e.columns % width == 0 && e.column_from % width == 0 && e.column_to % width == 0;
}

// `launch(kernel, blocks, arguments...)` runs a kernel with THREADS threads a block, `launch.after(...)` one that
// waits by itself.
template <typename S, int WIDTH, int SCALE, bool BACKWARD, typename Launch>
void run_scale(const Job<S>& job, bool paired, Real<S>* partial, const Launch& launch) {
  const int64_t chunks = chunks_of(job), blocks = job.extent.samples * chunks;
  const Real<S> log_eps = job.mode.eps > 0 ? static_cast<Real<S>>(std::log(job.mode.eps)) : Real<S>(0);
  launch(affine_kernel<S, WIDTH, SCALE, BACKWARD>, blocks, job, paired, log_eps, chunks, partial);
}

template <typename S, int WIDTH, bool BACKWARD, typename Launch>
void run_width(const Job<S>& job, bool paired, Real<S>* partial, const Launch& launch) {
  if (job.mode.scale == SOFT) {
    run_scale<S, WIDTH, SOFT, BACKWARD>(job, paired, partial, launch);
  } else if (job.mode.scale == SIGMOID) {
    run_scale<S, WIDTH, SIGMOID, BACKWARD>(job, paired, partial, launch);
  } else {
    run_scale<S, WIDTH, EXP, BACKWARD>(job, paired, partial, launch);
  }
}

template <bool BACKWARD, typename S, typename Launch>
void run(const Job<S>& job, Real<S>* partial, const Launch& launch) {
  const bool paired = is_paired(job, BACKWARD);
  if (is_wide(job, BACKWARD, paired)) {
    run_width<S, sizeof(uint4) / sizeof(S), BACKWARD>(job, paired, partial, launch);
  } else {
    run_width<S, 1, BACKWARD>(job, false, partial, launch);
  }
}

// `partial` has room for samples x chunks_of(job) sums.
template <typename S, typename Launch>
void run_forward(const Job<S>& job, Real<S>* partial, Real<S>* log_det, const Launch& launch) {
  run<false>(job, partial, launch);
  launch.after(sum_kernel<Real<S>>, job.extent.samples, partial, log_det, chunks_of(job), job.mode.inverse);
}

template <typename S, typename Launch>
void run_backward(const Job<S>& job, const Launch& launch) {
  run<true>(job, static_cast<Real<S>*>(nullptr), launch);
}

}  // namespace flowkit
