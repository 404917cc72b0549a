// The affine op on the processor: vectorised, threaded, and the same bits for any number of threads.
#include <algorithm>

#include "affine_math.h"
#include "affine_rows.h"
#include "affine_tensors.h"

#define FLOWKIT_INLINE inline __attribute__((always_inline))

namespace flowkit {
namespace {

constexpr int64_t TILES = 16;  // of one task; like the tiles themselves, never dependent on the threads

// What one go reads and writes, each tensor in one piece.
template <typename T>
struct Tile {
  const T *z, *shift, *raw, *by_out;
  T by_log_det;
  T *out, *by_shift, *by_raw;
};

template <typename T, int SCALE, bool WITH_EPS, bool INVERSE>
FLOWKIT_INLINE T forward_as(const Tile<T>& tile, int64_t n, T log_eps) {
  const T *__restrict z = tile.z, *__restrict shift = tile.shift, *__restrict raw = tile.raw;
  T* __restrict out = tile.out;
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    LogScale<T, SCALE> log_s(raw[i]);
    if (WITH_EPS) log_s.add(log_eps);
    sum += log_s.value;
    out[i] = moved(z[i], shift[i], log_s.value, INVERSE);
  }
  return sum;
}

template <typename T, int SCALE, bool WITH_EPS, bool INVERSE>
FLOWKIT_INLINE T backward_as(const Tile<T>& tile, int64_t n, T log_eps) {
  const T *__restrict z = tile.z, *__restrict shift = tile.shift, *__restrict raw = tile.raw;
  const T* __restrict by_out = tile.by_out;
  T *__restrict by_z = tile.out, *__restrict by_shift = tile.by_shift, *__restrict by_raw = tile.by_raw;
  const T by_log_det = tile.by_log_det;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    LogScale<T, SCALE> log_s(raw[i]);
    if (WITH_EPS) log_s.add(log_eps);
    const T d = by_input(by_out[i], log_s.value, INVERSE);
    by_z[i] = d;
    by_shift[i] = by_offset(d, by_out[i], INVERSE);
    by_raw[i] = by_log_scale(d, by_log_det, z[i], shift[i], INVERSE) * log_s.slope;
  }
  return 0;
}

template <typename T, int SCALE, bool WITH_EPS, bool BACKWARD>
FLOWKIT_INLINE T compute_scale(const Tile<T>& tile, int64_t n, T log_eps, bool inverse) {
  if (BACKWARD) {
    return inverse ? backward_as<T, SCALE, WITH_EPS, true>(tile, n, log_eps)
                   : backward_as<T, SCALE, WITH_EPS, false>(tile, n, log_eps);
  }
  return inverse ? forward_as<T, SCALE, WITH_EPS, true>(tile, n, log_eps)
                 : forward_as<T, SCALE, WITH_EPS, false>(tile, n, log_eps);
}

template <typename T, bool BACKWARD>
FLOWKIT_INLINE T compute_any(const Tile<T>& tile, int64_t n, const Mode& mode) {
  const bool inverse = mode.inverse;
  if (mode.eps > 0) {
    const T log_eps = static_cast<T>(std::log(mode.eps));
    if (mode.scale == SOFT) return compute_scale<T, SOFT, true, BACKWARD>(tile, n, log_eps, inverse);
    if (mode.scale == SIGMOID) return compute_scale<T, SIGMOID, true, BACKWARD>(tile, n, log_eps, inverse);
    return compute_scale<T, EXP, true, BACKWARD>(tile, n, log_eps, inverse);
  }
  if (mode.scale == SOFT) return compute_scale<T, SOFT, false, BACKWARD>(tile, n, T(0), inverse);
  if (mode.scale == SIGMOID) return compute_scale<T, SIGMOID, false, BACKWARD>(tile, n, T(0), inverse);
  return compute_scale<T, EXP, false, BACKWARD>(tile, n, T(0), inverse);
}

// Each is compiled for each generation of processors, with all of the above inside.
FLOWKIT_CLONES float forward_float(const Tile<float>& tile, int64_t n, const Mode& mode) {
  return compute_any<float, false>(tile, n, mode);
}
FLOWKIT_CLONES float backward_float(const Tile<float>& tile, int64_t n, const Mode& mode) {
  return compute_any<float, true>(tile, n, mode);
}
FLOWKIT_CLONES double forward_double(const Tile<double>& tile, int64_t n, const Mode& mode) {
  return compute_any<double, false>(tile, n, mode);
}
FLOWKIT_CLONES double backward_double(const Tile<double>& tile, int64_t n, const Mode& mode) {
  return compute_any<double, true>(tile, n, mode);
}
template <bool BACKWARD>
float compute(const Tile<float>& tile, int64_t n, const Mode& mode) {
  return BACKWARD ? backward_float(tile, n, mode) : forward_float(tile, n, mode);
}
template <bool BACKWARD>
double compute(const Tile<double>& tile, int64_t n, const Mode& mode) {
  return BACKWARD ? backward_double(tile, n, mode) : forward_double(tile, n, mode);
}

// Short rows stay whole.
int64_t tile_of(const Extent& e) {
  const int64_t width = e.moved_columns();
  return width < TILE ? TILE / width * width : TILE;
}

// One task: a chunk of the moved elements of one sample, and its share of the kept ones. Returns the sum of log s.
template <bool BACKWARD, typename S>
double run_chunk(const Job<S>& job, int64_t sample, int64_t chunk, int64_t chunks) {
  using T = Real<S>;
  const Extent& e = job.extent;
  const Rows<const S> z = from_corner(job.z, e.row_from, e.column_from);
  const Rows<S> out = from_corner(job.out, e.row_from, e.column_from);
  Rows<const S> by_out{};
  if (BACKWARD) by_out = from_corner(job.by_out, e.row_from, e.column_from);
  alignas(64) T buffers[7][TILE];
  const int64_t width = e.moved_columns(), step = tile_of(e), from = chunk * TILES * step;
  const int64_t to = std::min(from + TILES * step, e.moved_rows() * width);
  double total = 0;
  for (int64_t start = from; start < to; start += step) {
    const int64_t n = std::min(step, to - start);
    const Place at{sample, start / width, start % width, width, n};
    Tile<T> tile{};
    tile.z = gathered(z, at, buffers[0]);
    tile.shift = gathered(job.shift, at, buffers[1]);
    tile.raw = gathered(job.raw, at, buffers[2]);
    tile.out = target(out, at, buffers[3]);
    if (BACKWARD) {
      tile.by_log_det = job.by_log_det[sample];
      tile.by_out = gathered(by_out, at, buffers[4]);
      tile.by_shift = target(job.by_shift, at, buffers[5]);
      tile.by_raw = target(job.by_raw, at, buffers[6]);
    }
    total += compute<BACKWARD>(tile, n, job.mode);
    scatter(buffers[3], out, at);
    if (BACKWARD) {
      scatter(buffers[5], job.by_shift, at);
      scatter(buffers[6], job.by_raw, at);
    }
  }
  copy_kept(e, BACKWARD ? job.by_out : job.z, job.out, sample, chunk, chunks);
  return total;
}

template <bool BACKWARD, typename S>
std::vector<double> run(const Job<S>& job, int64_t chunks) {
  std::vector<double> sums(static_cast<size_t>(job.extent.samples * chunks));
  torch::stable::parallel_for(0, job.extent.samples * chunks, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      sums[static_cast<size_t>(i)] = run_chunk<BACKWARD>(job, i / chunks, i % chunks, chunks);
    }
  });
  return sums;
}

struct Processor {
  using Half = flowkit::Half;
  using BFloat16 = flowkit::BFloat16;

  template <typename S>
  static int64_t chunks(const Job<S>& job) {
    const int64_t chunk = TILES * tile_of(job.extent);
    return (job.extent.moved_rows() * job.extent.moved_columns() + chunk - 1) / chunk;
  }

  template <typename S>
  static void forward(const Job<S>& job, Real<S>* log_det, const Tensor&) {
    const int64_t each = chunks(job);
    const std::vector<double> sums = run<false>(job, each);
    for (int64_t b = 0; b < job.extent.samples; ++b) {
      double total = 0;
      for (int64_t i = 0; i < each; ++i) total += sums[static_cast<size_t>(b * each + i)];
      log_det[b] = static_cast<Real<S>>(job.mode.inverse ? -total : total);
    }
  }

  template <typename S>
  static void backward(const Job<S>& job, const Tensor&) {
    run<true>(job, chunks(job));
  }
};

}  // namespace
}  // namespace flowkit

STABLE_TORCH_LIBRARY(flowkit, m) {
  m.def(
      "affine(Tensor z, Tensor shift, Tensor raw, int start, int scale, float eps, bool inverse) -> (Tensor, Tensor)");
  m.def(
      "affine_backward(Tensor by_out, Tensor by_log_det, Tensor z, Tensor shift, Tensor raw, int start, "
      "bool interleaved, int scale, float eps, bool inverse) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(flowkit, CPU, m) {
  m.impl("affine", TORCH_BOX(&flowkit::affine<flowkit::Processor>));
  m.impl("affine_backward", TORCH_BOX(&flowkit::affine_backward<flowkit::Processor>));
}
