// Rows of memory, brought together to be computed and put back: how the processor reads every layout.
#pragma once

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "affine_job.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define FLOWKIT_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FLOWKIT_CLONES
#endif

namespace flowkit {

using torch::headeronly::BFloat16;
using torch::headeronly::Half;

constexpr int64_t TILE = 512;  // elements, at most, that are computed in one go

// Compiled for each generation of processors: of these, some convert in hardware.
FLOWKIT_CLONES static void convert(const Half* from, float* to, int64_t n) { std::copy(from, from + n, to); }
FLOWKIT_CLONES static void convert(const float* from, Half* to, int64_t n) { std::copy(from, from + n, to); }
FLOWKIT_CLONES static void convert(const BFloat16* from, float* to, int64_t n) { std::copy(from, from + n, to); }
FLOWKIT_CLONES static void convert(const float* from, BFloat16* to, int64_t n) { std::copy(from, from + n, to); }

// Rows of so many bytes: a loop whose length is known is a few instructions, where memcpy is a call.
template <size_t BYTES>
void copy_rows_of(const char* from, int64_t from_step, char* to, int64_t to_step, int64_t rows) {
  for (; rows > 0; --rows, from += from_step, to += to_step) std::memcpy(to, from, BYTES);
}

constexpr size_t WORD = 4, WORDS = 49;  // the shortest rows: up to 48 channels in float32

template <size_t... I>
auto copier(size_t words, std::index_sequence<I...>) {
  static constexpr void (*OF[])(const char*, int64_t, char*, int64_t, int64_t) = {copy_rows_of<WORD * I>...};
  return OF[words];
}

template <typename S>
void copy_rows(const S* from, int64_t from_step, S* to, int64_t to_step, int64_t rows, int64_t width) {
  const size_t bytes = static_cast<size_t>(width) * sizeof(S);
  if (bytes % WORD == 0 && bytes / WORD < WORDS) {
    constexpr int64_t size = sizeof(S);
    copier(bytes / WORD, std::make_index_sequence<WORDS>())(
        reinterpret_cast<const char*>(from), from_step * size, reinterpret_cast<char*>(to), to_step * size, rows);
  } else {
    for (; rows > 0; --rows, from += from_step, to += to_step) std::memcpy(to, from, bytes);
  }
}

// Some elements of one sample, `width` a row: whole rows, or a piece that begins anywhere in a long one.
struct Place {
  int64_t sample, row, column, width, n;
  bool whole_rows() const { return column == 0 && n % width == 0; }
};

// The pieces of rows that a place consists of: piece(row, column, index, length).
template <typename Piece>
void for_pieces(const Place& at, Piece piece) {
  for (int64_t i = 0, row = at.row, column = at.column; i < at.n; ++row, column = 0) {
    const int64_t length = std::min(at.width - column, at.n - i);
    piece(row, column, i, length);
    i += length;
  }
}

template <typename S>
S* address(const Rows<S>& t, int64_t sample, int64_t row, int64_t column) {
  return t.data + sample * t.sample + row * t.row + column * t.column;
}

template <typename S>
S* address(const Rows<S>& t, const Place& at) {
  return address(t, at.sample, at.row, at.column);
}

template <typename S>
bool in_one_piece(const Rows<S>& t, const Place& at) {
  return t.column == 1 && (at.column + at.n <= at.width || t.row == at.width);
}

// The elements in one piece, in the type in which they are computed: where they lie, or brought together.
template <typename S, typename T>
const T* gathered(const Rows<const S>& t, const Place& at, T* buffer) {
  const S* found = address(t, at);
  S own[TILE];
  S* together = own;
  if constexpr (std::is_same_v<S, T>) together = buffer;
  if (!in_one_piece(t, at)) {
    if (t.column == 1 && at.whole_rows()) {
      copy_rows(found, t.row, together, at.width, at.n / at.width, at.width);
    } else {
      for_pieces(at, [&](int64_t row, int64_t column, int64_t i, int64_t length) {
        const S* from = address(t, at.sample, row, column);
        for (int64_t j = 0; j < length; ++j) together[i + j] = from[j * t.column];
      });
    }
    found = together;
  }
  if constexpr (std::is_same_v<S, T>) {
    return found;
  } else {
    convert(found, buffer, at.n);
    return buffer;
  }
}

// Where results can be written in one piece: in their place, or in the buffer, from which `scatter` takes them.
template <typename S, typename T>
T* target(const Rows<S>& t, const Place& at, T* buffer) {
  if constexpr (std::is_same_v<S, T>) {
    if (in_one_piece(t, at)) return address(t, at);
  }
  return buffer;
}

template <typename S, typename T>
void scatter(const T* buffer, const Rows<S>& t, const Place& at) {
  const bool straight = in_one_piece(t, at);
  S own[TILE];
  const S* together = own;
  if constexpr (std::is_same_v<S, T>) {
    if (straight) return;
    together = buffer;
  } else {
    convert(buffer, straight ? address(t, at) : own, at.n);
    if (straight) return;
  }
  if (t.column == 1 && at.whole_rows()) {
    return copy_rows(together, at.width, address(t, at), t.row, at.n / at.width, at.width);
  }
  for_pieces(at, [&](int64_t row, int64_t column, int64_t i, int64_t length) {
    S* to = address(t, at.sample, row, column);
    for (int64_t j = 0; j < length; ++j) to[j * t.column] = together[i + j];
  });
}

template <typename S>
Rows<S> from_corner(Rows<S> t, int64_t row, int64_t column) {
  t.data += row * t.row + column * t.column;
  return t;
}

// The share `part` of `parts` of a rectangle that is copied.
template <typename S>
void copy_share(const Rows<const S>& from, const Rows<S>& to, int64_t sample, int64_t row, int64_t rows,
                int64_t column, int64_t columns, int64_t part, int64_t parts) {
  if (rows == 0 || columns == 0) return;
  const Rows<const S> source = from_corner(from, row, column);
  const Rows<S> goal = from_corner(to, row, column);
  const bool dense = source.column == 1 && goal.column == 1;
  if (dense && columns < TILE) {
    const int64_t first = rows * part / parts, last = rows * (part + 1) / parts;
    return copy_rows(address(source, sample, first, 0), source.row, address(goal, sample, first, 0), goal.row,
                     last - first, columns);
  }
  const int64_t first = rows * columns * part / parts, last = rows * columns * (part + 1) / parts;
  for_pieces(Place{sample, first / columns, first % columns, columns, last - first},
             [&](int64_t r, int64_t c, int64_t, int64_t length) {
               const S* read = address(source, sample, r, c);
               S* write = address(goal, sample, r, c);
               if (dense) {
                 std::memcpy(write, read, static_cast<size_t>(length) * sizeof(S));
               } else {
                 for (int64_t j = 0; j < length; ++j) write[j * goal.column] = read[j * source.column];
               }
             });
}

// The part of z (or of the gradient by out) that is kept: above, below, left and right of the moved rectangle.
template <typename S>
void copy_kept(const Extent& e, const Rows<const S>& from, const Rows<S>& to, int64_t sample, int64_t part,
               int64_t parts) {
  copy_share(from, to, sample, 0, e.row_from, 0, e.columns, part, parts);
  copy_share(from, to, sample, e.row_to, e.rows - e.row_to, 0, e.columns, part, parts);
  copy_share(from, to, sample, e.row_from, e.moved_rows(), 0, e.column_from, part, parts);
  copy_share(from, to, sample, e.row_from, e.moved_rows(), e.column_to, e.columns - e.column_to, part, parts);
}

}  // namespace flowkit
