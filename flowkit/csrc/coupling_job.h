// The inverse of an affine coupling on a window of an image, with the maps of single cells that follow it.
// `flowkit/ops/coupling_step.py` fills the struct: the same fields in the same order.
#pragma once

#include <cstdint>

namespace flowkit {

struct Job {
  int64_t height, width;
  int64_t channels, kept, moved;    // of z
  int64_t first_kept, first_moved;  // channels, from which on the others are consecutive
  int64_t hidden;
  int64_t low;    // the context is bfloat16, not float
  int64_t scale;  // see `Scale`
  double eps;
  int64_t z_plane, z_row;                     // floats from one to the next
  const float* z;                             // (channels, height, width)
  const void* context;                        // (height, width, hidden): A u
  const float *context_gain, *context_bias;   // (hidden): of the actnorm on A u + B z1, or null
  const float* on_latent;                     // (3 columns, 3 rows, kept, hidden): B
  const float *mix, *mix_bias;                // (hidden, hidden), by input and output: M; (hidden)
  const float *last, *last_bias;              // (3 rows, 3 columns, hidden, 2 moved): O; (2 moved)
  const float *cell_shift, *cell_gain;        // (channels, height, width): shift + x gain follows; or null
  const float *channel_bias, *channel_map;    // (channels), (channels, channels): bias + map x follows; or null
  float* out;                                 // (channels, height, width)
};

inline int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// Returns O's weight by hidden value k of three rows, for output n of three columns.
inline float last_weight(const Job& job, int64_t k, int64_t n) {
  const int64_t outs = 2 * job.moved, row = k / job.hidden, column = n / outs;
  return job.last[((row * 3 + column) * job.hidden + k % job.hidden) * outs + n % outs];
}

}  // namespace flowkit
