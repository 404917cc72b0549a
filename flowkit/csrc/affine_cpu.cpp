// The affine op on the processor: vectorised, threaded, and the same bits for any number of threads.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

#include "affine_math.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define FLOWKIT_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FLOWKIT_CLONES
#endif

namespace flowkit {
namespace {

using torch::stable::Tensor;

constexpr int64_t CHUNK = 8192;  // elements that are added up in one go; never dependent on the threads
constexpr int64_t BLOCK = 256;   // of them in the tensor's own precision

// Everything of one op; samples are contiguous, and lie `*_step` elements apart.
template <typename T>
struct Job {
  int64_t samples, length;
  const T *z, *shift, *raw, *by_out, *by_log_det;
  int64_t z_step, shift_step, raw_step, by_out_step;
  T *out, *by_raw;   // forward: the result; backward: the gradients by z and by raw
  double* partial;   // forward: sums of log s, a row of chunks for each sample
  T floor;
  int64_t chunks() const { return (length + CHUNK - 1) / CHUNK; }
};

template <typename T, int SCALE, bool WITH_EPS, bool INVERSE>
inline __attribute__((always_inline)) double forward_chunk(const Job<T>& job, int64_t b, int64_t from, int64_t to) {
  const T* __restrict z = job.z + b * job.z_step;
  const T* __restrict shift = job.shift + b * job.shift_step;
  const T* __restrict raw = job.raw + b * job.raw_step;
  T* __restrict out = job.out + b * job.length;
  const T floor = job.floor;
  double total = 0;
  for (int64_t start = from; start < to; start += BLOCK) {
    const int64_t end = std::min(start + BLOCK, to);
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = start; i < end; ++i) {
      const LogScale<T, SCALE, WITH_EPS> log_s(raw[i], floor);
      sum += log_s.value;
      out[i] = moved<T, INVERSE>(z[i], shift[i], log_s.value);
    }
    total += sum;
  }
  return total;
}

template <typename T, int SCALE, bool WITH_EPS, bool INVERSE>
inline __attribute__((always_inline)) void backward_chunk(const Job<T>& job, int64_t b, int64_t from, int64_t to) {
  const T* __restrict z = job.z + b * job.z_step;
  const T* __restrict shift = job.shift + b * job.shift_step;
  const T* __restrict raw = job.raw + b * job.raw_step;
  const T* __restrict by_out = job.by_out + b * job.by_out_step;
  T* __restrict by_z = job.out + b * job.length;
  T* __restrict by_raw = job.by_raw + b * job.length;
  const T by_log_det = job.by_log_det[b], floor = job.floor;
#pragma omp simd
  for (int64_t i = from; i < to; ++i) {
    const LogScale<T, SCALE, WITH_EPS> log_s(raw[i], floor);
    const T d = by_input<T, INVERSE>(by_out[i], log_s.value);
    by_z[i] = d;
    by_raw[i] = by_log_scale<T, INVERSE>(d, by_log_det, z[i], shift[i]) * log_s.slope;
  }
}

struct Mode {
  int scale;
  bool with_eps, inverse, backward;
};

template <typename T, int SCALE, bool WITH_EPS, bool INVERSE>
inline __attribute__((always_inline)) void run(const Job<T>& job, bool backward, int64_t first, int64_t last) {
  const int64_t chunks = job.chunks();
  for (int64_t index = first; index < last; ++index) {
    const int64_t b = index / chunks, from = index % chunks * CHUNK, to = std::min(from + CHUNK, job.length);
    if (backward) {
      backward_chunk<T, SCALE, WITH_EPS, INVERSE>(job, b, from, to);
    } else {
      job.partial[index] = forward_chunk<T, SCALE, WITH_EPS, INVERSE>(job, b, from, to);
    }
  }
}

template <typename T, int SCALE>
inline __attribute__((always_inline)) void run_scale(const Job<T>& job, Mode mode, int64_t first, int64_t last) {
  if (mode.with_eps) {
    mode.inverse ? run<T, SCALE, true, true>(job, mode.backward, first, last)
                 : run<T, SCALE, true, false>(job, mode.backward, first, last);
  } else {
    mode.inverse ? run<T, SCALE, false, true>(job, mode.backward, first, last)
                 : run<T, SCALE, false, false>(job, mode.backward, first, last);
  }
}

template <typename T>
inline __attribute__((always_inline)) void run_any(const Job<T>& job, Mode mode, int64_t first, int64_t last) {
  if (mode.scale == SOFT) {
    run_scale<T, SOFT>(job, mode, first, last);
  } else if (mode.scale == SIGMOID) {
    run_scale<T, SIGMOID>(job, mode, first, last);
  } else {
    run_scale<T, EXP>(job, mode, first, last);
  }
}

// One function per type, compiled for each generation of processors, with all of the above inside.
FLOWKIT_CLONES void run_float(const Job<float>& job, Mode mode, int64_t first, int64_t last) {
  run_any(job, mode, first, last);
}
FLOWKIT_CLONES void run_double(const Job<double>& job, Mode mode, int64_t first, int64_t last) {
  run_any(job, mode, first, last);
}
void run_typed(const Job<float>& job, Mode mode, int64_t a, int64_t b) { run_float(job, mode, a, b); }
void run_typed(const Job<double>& job, Mode mode, int64_t a, int64_t b) { run_double(job, mode, a, b); }

template <typename T>
void in_parallel(const Job<T>& job, Mode mode) {
  torch::stable::parallel_for(0, job.samples * job.chunks(), 1,
                              [&](int64_t first, int64_t last) { run_typed(job, mode, first, last); });
}

template <typename T>
Job<T> job_of(const Tensor& z, const Tensor& shift, const Tensor& raw, double eps) {
  Job<T> job{};
  job.samples = z.size(0);
  job.length = job.samples ? z.numel() / job.samples : 0;
  job.z = static_cast<const T*>(z.data_ptr());
  job.shift = static_cast<const T*>(shift.data_ptr());
  job.raw = static_cast<const T*>(raw.data_ptr());
  job.z_step = z.stride(0);
  job.shift_step = shift.stride(0);
  job.raw_step = raw.stride(0);
  job.floor = eps > 0 ? static_cast<T>(std::log(eps)) : T(0);
  return job;
}

template <typename T>
void forward_typed(const Tensor& z, const Tensor& shift, const Tensor& raw, Tensor& out, Tensor& log_det, Mode mode,
                   double eps) {
  Job<T> job = job_of<T>(z, shift, raw, eps);
  std::vector<double> partial(static_cast<size_t>(job.samples * job.chunks()));
  job.out = static_cast<T*>(out.data_ptr());
  job.partial = partial.data();
  in_parallel(job, mode);
  T* sums = static_cast<T*>(log_det.data_ptr());
  for (int64_t b = 0; b < job.samples; ++b) {
    double total = 0;
    for (int64_t chunk = 0; chunk < job.chunks(); ++chunk) total += partial[b * job.chunks() + chunk];
    sums[b] = static_cast<T>(mode.inverse ? -total : total);
  }
}

template <typename T>
void backward_typed(const Tensor& by_out, const Tensor& by_log_det, const Tensor& z, const Tensor& shift,
                    const Tensor& raw, Tensor& by_z, Tensor& by_raw, Mode mode, double eps) {
  Job<T> job = job_of<T>(z, shift, raw, eps);
  job.by_out = static_cast<const T*>(by_out.data_ptr());
  job.by_out_step = by_out.stride(0);
  job.by_log_det = static_cast<const T*>(by_log_det.data_ptr());
  job.out = static_cast<T*>(by_z.data_ptr());
  job.by_raw = static_cast<T*>(by_raw.data_ptr());
  in_parallel(job, mode);
}

bool is_double(const Tensor& z) { return z.scalar_type() == torch::headeronly::ScalarType::Double; }

std::tuple<Tensor, Tensor> affine(Tensor z, Tensor shift, Tensor raw, int64_t scale, double eps, bool inverse) {
  Tensor out = torch::stable::new_empty(z, z.sizes());
  Tensor log_det = torch::stable::new_empty(z, {z.size(0)});
  const Mode mode{static_cast<int>(scale), eps > 0, inverse, false};
  is_double(z) ? forward_typed<double>(z, shift, raw, out, log_det, mode, eps)
               : forward_typed<float>(z, shift, raw, out, log_det, mode, eps);
  return {out, log_det};
}

std::tuple<Tensor, Tensor> affine_backward(Tensor by_out, Tensor by_log_det, Tensor z, Tensor shift, Tensor raw,
                                           int64_t scale, double eps, bool inverse) {
  Tensor by_z = torch::stable::new_empty(z, z.sizes());
  Tensor by_raw = torch::stable::new_empty(z, z.sizes());
  const Mode mode{static_cast<int>(scale), eps > 0, inverse, true};
  is_double(z) ? backward_typed<double>(by_out, by_log_det, z, shift, raw, by_z, by_raw, mode, eps)
               : backward_typed<float>(by_out, by_log_det, z, shift, raw, by_z, by_raw, mode, eps);
  return {by_z, by_raw};
}

}  // namespace
}  // namespace flowkit

STABLE_TORCH_LIBRARY(flowkit, m) {
  m.def("affine(Tensor z, Tensor shift, Tensor raw, int scale, float eps, bool inverse) -> (Tensor, Tensor)");
  m.def(
      "affine_backward(Tensor by_out, Tensor by_log_det, Tensor z, Tensor shift, Tensor raw, int scale, float eps, "
      "bool inverse) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(flowkit, CPU, m) {
  m.impl("affine", TORCH_BOX(&flowkit::affine));
  m.impl("affine_backward", TORCH_BOX(&flowkit::affine_backward));
}
