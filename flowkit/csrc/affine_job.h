// The affine op's tensors as rows of memory: NCHW and channels_last, halves and interleaved; no torch.
#pragma once

#include <cstdint>
#include <type_traits>

namespace flowkit {

// Element (b, r, c) of a tensor lies at data[b * sample + r * row + c * column].
template <typename T>
struct Rows {
  T* data;
  int64_t sample, row, column;
};

// The type in which elements are computed.
template <typename T>
using Real = std::conditional_t<std::is_same_v<T, double>, double, float>;

// z's rows and columns, and the rectangle of them that is moved; all else is copied. Rows are channels and
// columns pixels, or the other way round; a tensor that lies in one piece is one row.
struct Extent {
  int64_t samples, rows, columns;
  int64_t row_from, row_to, column_from, column_to;
  int64_t moved_rows() const { return row_to - row_from; }
  int64_t moved_columns() const { return column_to - column_from; }
};

struct Mode {
  int scale;
  double eps;
  bool inverse;
};

// shift, raw and their gradients begin at the moved rectangle; z, by_out and the result at the first row.
template <typename T>
struct Job {
  Extent extent;
  Mode mode;
  Rows<const T> z, shift, raw;
  Rows<T> out;  // forward: the result; backward: the gradient by z
  // backward only
  Rows<const T> by_out;
  const Real<T>* by_log_det;
  Rows<T> by_shift, by_raw;
};

}  // namespace flowkit
