// The affine op's formula, element by element; no torch. `flowkit/ops/affine.py` and `scale.py` say what it is.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define FLOWKIT_HD __host__ __device__ inline
#else
#define FLOWKIT_HD inline __attribute__((always_inline))
#endif

// GCC vectorises these calls only if it is told that there are vector versions (glibc's libmvec).
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__) && defined(__x86_64__) && defined(__linux__)
extern "C" {
__attribute__((simd("notinbranch"))) float logf(float) noexcept;
__attribute__((simd("notinbranch"))) double exp(double) noexcept;
__attribute__((simd("notinbranch"))) double log(double) noexcept;
}
#endif

namespace flowkit {

enum Scale { SOFT = 0, SIGMOID = 1, EXP = 2 };  // the order of `SCALES` in flowkit/ops/scale.py

#ifdef __CUDACC__
FLOWKIT_HD float exp_(float x) { return ::expf(x); }
#else
// To one unit in the last place, for every x. Inline: the vector version is a call, before which a loop has to put
// away all that it holds in registers, and took longer than what it computes.
FLOWKIT_HD float exp_(float x) {
  constexpr float ROUND = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded to a whole number
  x = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x;  // exp is 0 and infinity there; NaN stays
  const float shifted = x * 1.44269504f + ROUND;
  const float n = shifted - ROUND;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;  // ln 2 in two parts
  float p = 1.9875691500e-4f;  // the polynomial of Cephes
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  int32_t whole, start;
  std::memcpy(&whole, &shifted, sizeof whole);
  std::memcpy(&start, &ROUND, sizeof start);
  const int32_t power = whole - start, half = power >> 1;  // in two steps, or 2^128 and 2^-149 would not be there
  const int32_t low = (half + 127) << 23, high = (power - half + 127) << 23;
  float by_low, by_high;
  std::memcpy(&by_low, &low, sizeof by_low);
  std::memcpy(&by_high, &high, sizeof by_high);
  return p * by_low * by_high;
}
#endif
FLOWKIT_HD double exp_(double x) { return ::exp(x); }
FLOWKIT_HD float log_(float x) { return ::logf(x); }
FLOWKIT_HD double log_(double x) { return ::log(x); }
FLOWKIT_HD float abs_(float x) { return ::fabsf(x); }
FLOWKIT_HD double abs_(double x) { return ::fabs(x); }

// log s and its derivative by r.
template <typename T, int SCALE>
struct LogScale {
  T value, slope;
  FLOWKIT_HD explicit LogScale(T r) {
    if (SCALE == SOFT) {
      const T shrink = T(1) / (T(1) + abs_(r) / T(2));
      value = r * shrink;
      slope = shrink * shrink;
    } else if (SCALE == SIGMOID) {
      const T x = r + T(2);
      const T small = exp_(-abs_(x));
      value = (x < T(0) ? x : T(0)) - log_(T(1) + small);
      slope = (x < T(0) ? T(1) : small) / (T(1) + small);
    } else {
      value = r;
      slope = T(1);
    }
  }
  // eps is added to s.
  FLOWKIT_HD void add(T log_eps) {
    const T high = value > log_eps ? value : log_eps;
    const T sum = high + log_(T(1) + exp_(-abs_(value - log_eps)));
    slope *= exp_(value - sum);
    value = sum;
  }
};

template <typename T>
FLOWKIT_HD T moved(T z, T shift, T log_s, bool inverse) {
  const T factor = exp_(inverse ? -log_s : log_s);
  return inverse ? z * factor - shift : (z + shift) * factor;
}

// d loss / d z.
template <typename T>
FLOWKIT_HD T by_input(T by_out, T log_s, bool inverse) {
  return by_out * exp_(inverse ? -log_s : log_s);
}

// d loss / d shift, from d loss / d z.
template <typename T>
FLOWKIT_HD T by_offset(T by_z, T by_out, bool inverse) {
  return inverse ? -by_out : by_z;
}

// d loss / d log s, from d loss / d z.
template <typename T>
FLOWKIT_HD T by_log_scale(T by_z, T by_log_det, T z, T shift, bool inverse) {
  return inverse ? -by_z * z - by_log_det : by_z * (z + shift) + by_log_det;
}

}  // namespace flowkit
