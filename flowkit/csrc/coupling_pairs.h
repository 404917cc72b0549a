// The coupling's convolutions in bfloat16, two products to an instruction (AVX-512 BF16). Included after
// `coupling_rows.h`.

typedef uint16_t Low;

FLOWKIT_INLINE Low low(float x) {  // to the nearest, ties to even; a NaN keeps its upper bits
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (x != x) return static_cast<Low>(bits >> 16 | 64);
  return static_cast<Low>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

FLOWKIT_INLINE void put_low(Low* to, Lanes values) {
  const __m256bh halves = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(values));
  std::memcpy(to, &halves, sizeof halves);
}

struct Pairs {
  typedef Low Value;
  static constexpr int64_t STEP = CELLS;

  const Job& job;
  const int64_t outs;  // floats for each cell of what `last` makes
  std::vector<Low> first, mix, final;  // weights (depth / 2, width, 2), of `final` for each row

  explicit Pairs(const Job& job) : job(job), outs(round_up(6 * job.moved, LANES)) {
    const int64_t hidden = job.hidden;
    pack(first, 9 * job.kept, hidden, [&](int64_t k, int64_t n) { return job.on_latent[k * hidden + n]; });
    pack(mix, hidden, hidden, [&](int64_t k, int64_t n) { return job.mix[k * hidden + n]; });
    pack(final, 3 * hidden, outs, [&](int64_t k, int64_t n) {
      return n < 6 * job.moved ? last_weight(job, k, n) : 0.0f;
    });
  }

  static FLOWKIT_INLINE Low value(float x) { return low(x); }

  // Makes relu(M relu(A u + B z1)) of cells, from what is around them and A u.
  template <typename Context>
  FLOWKIT_APART void hidden(const Low* around, const Context* context, Low* out) const {
    alignas(64) Low middle[CELLS * MOST_HIDDEN];
    const int64_t depth = 9 * job.kept, width = job.hidden;
    for (int64_t n = 0; n < width; n += LANES) {
      Lanes sums[CELLS] = {};
      multiply(around, 3 * job.kept, depth, &first[2 * n], width, sums);
      Lanes gain = Lanes{} + 1.0f, bias = {};
      if (job.context_gain) gain = lanes(job.context_gain + n), bias = lanes(job.context_bias + n);
      for (int64_t cell = 0; cell < CELLS; ++cell) {
        const Lanes sum = sums[cell] + lanes(context + cell * width + n);
        put_low(middle + cell * width + n, relu(sum * gain + bias));
      }
    }
    for (int64_t n = 0; n < width; n += LANES) {
      Lanes sums[CELLS];
      for (Lanes& sum : sums) sum = lanes(job.mix_bias + n);
      multiply(middle, width, width, &mix[2 * n], width, sums);
      for (int64_t cell = 0; cell < CELLS; ++cell) put_low(out + cell * width + n, relu(sums[cell]));
    }
  }

  FLOWKIT_APART void last(const Low* const (&rows)[3], int64_t x, float* out) const {
    add_rows(*this, rows, x, final.data(), 2, out);
  }

  // Adds sum_k a[cell][k] b[k][...].
  static FLOWKIT_INLINE void multiply(const Low* a, int64_t stride, int64_t depth, const Low* b, int64_t width,
                                      Lanes (&sums)[CELLS]) {
    int64_t k = 0;
    for (; k + 2 <= depth; k += 2, b += 2 * width) {
      const __m512bh weights = two(b);
      for (int64_t cell = 0; cell < CELLS; ++cell) {
        int32_t values;
        std::memcpy(&values, a + cell * stride + k, sizeof values);
        sums[cell] = add_products(sums[cell], values, weights);
      }
    }
    if (k == depth) return;
    for (int64_t cell = 0; cell < CELLS; ++cell) {  // what lies behind is another cell's
      sums[cell] = add_products(sums[cell], a[cell * stride + k], two(b));
    }
  }

 private:
  template <typename Weight>
  static void pack(std::vector<Low>& into, int64_t depth, int64_t width, const Weight& weight) {
    for (int64_t k = 0; k < depth; k += 2) {
      for (int64_t n = 0; n < width; ++n) {
        into.push_back(low(weight(k, n)));
        into.push_back(k + 1 < depth ? low(weight(k + 1, n)) : Low(0));
      }
    }
  }

  static FLOWKIT_INLINE __m512bh two(const Low* from) {
    __m512bh found;
    std::memcpy(&found, from, sizeof found);
    return found;
  }

  static FLOWKIT_INLINE Lanes add_products(Lanes sum, int32_t values, __m512bh weights) {
    const __m512bh both = reinterpret_cast<__m512bh>(_mm512_set1_epi32(values));
    return reinterpret_cast<Lanes>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum), weights, both));
  }
};
