// The affine op's formula, element by element; no torch. `flowkit/ops/affine.py` and `scale.py` say what it is.
#pragma once

#include <cmath>

#ifdef __CUDACC__
#define FLOWKIT_HD __host__ __device__ inline
#else
#define FLOWKIT_HD inline __attribute__((always_inline))
#endif

// GCC vectorises these calls only if it is told that there are vector versions (glibc's libmvec).
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__) && defined(__x86_64__) && defined(__linux__)
extern "C" {
__attribute__((simd("notinbranch"))) float expf(float) noexcept;
__attribute__((simd("notinbranch"))) float logf(float) noexcept;
__attribute__((simd("notinbranch"))) double exp(double) noexcept;
__attribute__((simd("notinbranch"))) double log(double) noexcept;
}
#endif

namespace flowkit {

enum Scale { SOFT = 0, SIGMOID = 1, EXP = 2 };  // the order of `SCALES` in flowkit/ops/scale.py

FLOWKIT_HD float exp_(float x) { return ::expf(x); }
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
