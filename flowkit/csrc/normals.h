// Standard normal numbers from random bits. Included once for each kind of processor, inside a namespace.
// `flowkit/ops/normals.py` makes the table, tells the formula, and computes the same bits.

void normals(const uint32_t* bits, int64_t n, const float* constant, const float* linear, const float* square,
             float* out) {
  constexpr uint32_t FIRST = 0x3f000000u >> 18;  // of one half
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float tail = static_cast<float>(static_cast<int32_t>(bits[i] >> 1)) + 0.5f;
    uint32_t pattern;
    std::memcpy(&pattern, &tail, sizeof pattern);
    const int32_t at = static_cast<int32_t>((pattern >> 18) - FIRST);
    const float t = static_cast<float>(static_cast<int32_t>(pattern & 0x3ffffu));
    const float z = constant[at] + t * (linear[at] + t * square[at]);
    uint32_t signed_z;
    std::memcpy(&signed_z, &z, sizeof signed_z);
    signed_z ^= bits[i] << 31;
    std::memcpy(out + i, &signed_z, sizeof signed_z);
  }
}
