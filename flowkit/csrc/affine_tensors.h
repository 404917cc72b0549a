// From torch's tensors to the affine op's job: checks, layouts, results; for the processor and for CUDA.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/MemoryFormat.h>
#include <torch/headeronly/core/ScalarType.h>

#include <initializer_list>
#include <tuple>
#include <vector>

#include "affine_job.h"

namespace flowkit {

using torch::headeronly::MemoryFormat;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// As `channels_last` in flowkit/ops/library.py: the network's output decides the layout of all that is made.
inline bool channels_last(const Tensor& raw) { return raw.dim() == 4 && raw.stride(1) < raw.stride(3); }

inline MemoryFormat format(bool last) { return last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous; }

inline Tensor empty(const Tensor& like, std::vector<int64_t> sizes, ScalarType type, bool last) {
  return torch::stable::empty(sizes, type, std::nullopt, like.device(), std::nullopt, format(last));
}

inline std::vector<int64_t> sizes_of(const Tensor& t) {
  std::vector<int64_t> sizes;
  for (int64_t i = 0; i < t.dim(); ++i) sizes.push_back(t.size(i));
  return sizes;
}

inline int64_t pixels(const Tensor& t) {
  int64_t count = 1;
  for (int64_t i = 2; i < t.dim(); ++i) count *= t.size(i);
  return count;
}

// The distance of neighbours in the flattened dimensions behind the channels; 0 where they cannot be flattened.
inline int64_t pixel_step(const Tensor& t) {
  int64_t step = 0, size = 1;
  for (int64_t i = t.dim() - 1; i >= 2; --i) {
    if (t.size(i) == 1) continue;
    if (step != 0 && t.stride(i) != step * size) return 0;
    if (step == 0) step = t.stride(i);
    size *= t.size(i);
  }
  return size == 1 ? 1 : step;
}

// The tensor, or a copy of it whose pixels can be flattened and whose channels lie as asked.
inline Tensor in_rows(const Tensor& t, bool last) {
  const bool fits = pixel_step(t) != 0 && (last == channels_last(t) || t.size(1) == 1 || pixels(t) == 1);
  return fits ? t : torch::stable::contiguous(t, format(last));
}

template <typename T>
Rows<T> rows_of(const Tensor& t, bool last) {
  const int64_t channel = t.size(1) == 1 ? 1 : t.stride(1), pixel = pixel_step(t);
  T* data = static_cast<T*>(t.data_ptr());
  return {data, t.stride(0), last ? pixel : channel, last ? channel : pixel};
}

inline void check(const Tensor& z, const Tensor& shift, const Tensor& raw, int64_t start) {
  for (const Tensor* t : {&shift, &raw}) {
    const char* name = t == &shift ? "shift" : "raw";
    STD_TORCH_CHECK(t->scalar_type() == z.scalar_type(), name, " must have z's dtype");
    STD_TORCH_CHECK(t->is_cuda() == z.is_cuda() && t->get_device_index() == z.get_device_index(), name,
                    " must be on z's device");
    STD_TORCH_CHECK(t->dim() == z.dim() && z.dim() >= 2, name, " must have z's dimensions, two or more");
    for (int64_t i = 0; i < z.dim(); ++i) {
      STD_TORCH_CHECK(t->size(i) == (i == 1 ? shift : z).size(i), name, " has the wrong size in dimension ", i);
    }
  }
  const int64_t moved = shift.size(1);
  STD_TORCH_CHECK(moved > 0 && start >= 0 && start + moved <= z.size(1), moved, " channels from ", start,
                  " on are to be moved, z has ", z.size(1));
}

// What is in one piece is one row, so that inner loops are long and accesses wide.
template <typename T>
void merge(Job<T>& job, bool backward) {
  Extent& e = job.extent;
  if (e.moved_columns() != e.columns) return;
  const auto whole = [&](int64_t rows, const auto&... all) {
    return ((all.column == 1 && (all.row == e.columns || rows == 1)) && ...);
  };
  if (!whole(e.rows, job.z, job.out) || !whole(e.moved_rows(), job.shift, job.raw)) return;
  if (backward && !(whole(e.rows, job.by_out) && whole(e.moved_rows(), job.by_shift, job.by_raw))) return;
  e.column_from = e.row_from * e.columns;
  e.column_to = e.row_to * e.columns;
  e.columns *= e.rows;
  e.rows = e.row_to = 1;
  e.row_from = 0;
}

template <typename T>
Job<T> job_of(const Tensor& z, const Tensor& shift, const Tensor& raw, const Tensor& out, int64_t start,
              Mode mode, bool last) {
  const int64_t channels = z.size(1), moved = shift.size(1);
  Job<T> job{};
  job.extent = last ? Extent{z.size(0), pixels(z), channels, 0, pixels(z), start, start + moved}
                    : Extent{z.size(0), channels, pixels(z), start, start + moved, 0, pixels(z)};
  job.mode = mode;
  job.z = rows_of<const T>(z, last);
  job.shift = rows_of<const T>(shift, last);
  job.raw = rows_of<const T>(raw, last);
  job.out = rows_of<T>(out, last);
  return job;
}

// `Device` computes: forward(job, log_det, z) and backward(job, z), z for where it is and for what it needs
// beside; and it names its 16-bit types.
template <typename Device, typename Work>
void for_type(const Tensor& z, Work work) {
  const ScalarType type = z.scalar_type();
  if (type == ScalarType::Float) return work(float{});
  if (type == ScalarType::Double) return work(double{});
  if (type == ScalarType::Half) return work(typename Device::Half{});
  if (type == ScalarType::BFloat16) return work(typename Device::BFloat16{});
  STD_TORCH_CHECK(false, "z must be float32, float64, float16 or bfloat16");
}

template <typename Device>
std::tuple<Tensor, Tensor> affine(Tensor z, Tensor shift, Tensor raw, int64_t start, int64_t scale, double eps,
                                  bool inverse) {
  check(z, shift, raw, start);
  const bool last = channels_last(raw);
  const bool is_double = z.scalar_type() == ScalarType::Double;
  Tensor out = empty(z, sizes_of(z), z.scalar_type(), last);
  Tensor log_det = empty(z, {z.size(0)}, is_double ? ScalarType::Double : ScalarType::Float, false);
  if (z.numel() == 0) return {out, torch::stable::zero_(log_det)};
  z = in_rows(z, last), shift = in_rows(shift, last), raw = in_rows(raw, last);
  const Mode mode{static_cast<int>(scale), eps, inverse};
  for_type<Device>(z, [&](auto element) {
    using T = decltype(element);
    Job<T> job = job_of<T>(z, shift, raw, out, start, mode, last);
    merge(job, false);
    Device::forward(job, static_cast<Real<T>*>(log_det.data_ptr()), z);
  });
  return {out, log_det};
}

template <typename Device>
std::tuple<Tensor, Tensor> affine_backward(Tensor by_out, Tensor by_log_det, Tensor z, Tensor shift, Tensor raw,
                                           int64_t start, bool interleaved, int64_t scale, double eps,
                                           bool inverse) {
  check(z, shift, raw, start);
  STD_TORCH_CHECK(by_out.scalar_type() == z.scalar_type(), "by_out must have z's dtype");
  const bool last = channels_last(raw);
  std::vector<int64_t> sizes = sizes_of(raw);
  sizes[1] *= 2;
  Tensor by_z = empty(z, sizes_of(z), z.scalar_type(), last);
  Tensor by_parameters = empty(z, sizes, z.scalar_type(), last);
  if (z.numel() == 0) return {by_z, by_parameters};
  z = in_rows(z, last), shift = in_rows(shift, last), raw = in_rows(raw, last);
  by_out = in_rows(by_out, last), by_log_det = torch::stable::contiguous(by_log_det);
  const Mode mode{static_cast<int>(scale), eps, inverse};
  for_type<Device>(z, [&](auto element) {
    using T = decltype(element);
    Job<T> job = job_of<T>(z, shift, raw, by_z, start, mode, last);
    job.by_out = rows_of<const T>(by_out, last);
    job.by_log_det = static_cast<const Real<T>*>(by_log_det.data_ptr());
    job.by_shift = job.by_raw = rows_of<T>(by_parameters, last);
    job.by_raw.data += (interleaved ? 1 : raw.size(1)) * by_parameters.stride(1);
    if (interleaved) {
      for (Rows<T>* by : {&job.by_shift, &job.by_raw}) (last ? by->column : by->row) *= 2;
    }
    merge(job, true);
    Device::backward(job, z);
  });
  return {by_z, by_parameters};
}

}  // namespace flowkit
