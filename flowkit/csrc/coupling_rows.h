// The coupling, row by row: what is made of one row stays in the caches until the next ones have read it. Included
// once for each kind of processor, inside a namespace, after a pragma that names its instructions, which the macro
// FLOWKIT_INSTRUCTIONS repeats: g++ does not tell by its own. LANES is the number of floats in its registers, CELLS the
// number of cells of which they hold the sums.

typedef float Lanes __attribute__((vector_size(4 * LANES)));

FLOWKIT_INLINE Lanes lanes(const float* from) {
  Lanes found;
  std::memcpy(&found, from, sizeof found);
  return found;
}

FLOWKIT_INLINE Lanes lanes(const uint16_t* from) {  // of bfloat16
#if FLOWKIT_INSTRUCTIONS >= 512
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return reinterpret_cast<Lanes>(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
#else
  typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
  typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  return reinterpret_cast<Lanes>(__builtin_convertvector(halves, Words) << 16);
#endif
}

FLOWKIT_INLINE void put(float* to, Lanes values) { std::memcpy(to, &values, sizeof values); }

FLOWKIT_INLINE Lanes relu(Lanes x) {  // NaN stays NaN
#if FLOWKIT_INSTRUCTIONS >= 512
  return reinterpret_cast<Lanes>(_mm512_max_ps(_mm512_setzero_ps(), reinterpret_cast<__m512>(x)));
#else
  return x < 0.0f ? Lanes{} : x;
#endif
}

// sum + x weights, rounded once where the processor can.
FLOWKIT_INLINE Lanes add_product(Lanes sum, float x, Lanes weights) {
#if FLOWKIT_INSTRUCTIONS >= 512
  return reinterpret_cast<Lanes>(_mm512_fmadd_ps(_mm512_set1_ps(x), reinterpret_cast<__m512>(weights),
                                                 reinterpret_cast<__m512>(sum)));
#elif FLOWKIT_INSTRUCTIONS >= 256
  return reinterpret_cast<Lanes>(_mm256_fmadd_ps(_mm256_set1_ps(x), reinterpret_cast<__m256>(weights),
                                                 reinterpret_cast<__m256>(sum)));
#else
  return sum + x * weights;
#endif
}

// Makes the sums over rows of the last convolution, one for each column of its kernel, from weights
// (3 rows, hidden / deep, outs, deep).
template <typename Engine>
FLOWKIT_INLINE void add_rows(const Engine& engine, const typename Engine::Value* const (&rows)[3], int64_t x,
                             const typename Engine::Value* weights, int64_t deep, float* out) {
  const int64_t hidden = engine.job.hidden, outs = engine.outs;
  for (int64_t n = 0; n < outs; n += LANES) {
    Lanes sums[CELLS] = {};
    for (int64_t row = 0; row < 3; ++row) {
      if (!rows[row]) continue;
      const auto* of_row = weights + row * hidden * outs + deep * n;
      Engine::multiply(rows[row] + x * hidden, hidden, hidden, of_row, outs, sums);
    }
    for (int64_t cell = 0; cell < CELLS; ++cell) put(out + cell * outs + n, sums[cell]);
  }
}

// Convolutions in float, of cells whose hidden values lie side by side.
struct Floats {
  typedef float Value;
  static constexpr int64_t STEP = CELLS;

  const Job& job;
  const int64_t outs;               // floats for each cell of what `last` makes
  std::vector<float> final;  // weights (3 rows, hidden, outs)

  explicit Floats(const Job& job)
      : job(job), outs(round_up(6 * job.moved, LANES)), final(3 * job.hidden * outs) {
    for (int64_t k = 0; k < 3 * job.hidden; ++k) {
      for (int64_t n = 0; n < 6 * job.moved; ++n) final[k * outs + n] = last_weight(job, k, n);
    }
  }

  static FLOWKIT_INLINE float value(float x) { return x; }

  // Adds sum_k a[cell][k] b[k][...].
  static FLOWKIT_INLINE void multiply(const float* a, int64_t stride, int64_t depth, const float* b, int64_t width,
                                      Lanes (&sums)[CELLS]) {
    for (int64_t k = 0; k < depth; ++k) {
      const Lanes weights = lanes(b + k * width);
      for (int64_t cell = 0; cell < CELLS; ++cell) sums[cell] = add_product(sums[cell], a[cell * stride + k], weights);
    }
  }

  // Makes relu(M relu(A u + B z1)) of cells, from what is around them and A u.
  template <typename Context>
  FLOWKIT_INLINE void hidden(const float* around, const Context* context, float* out) const {
    alignas(64) float middle[CELLS * MOST_HIDDEN];
    const int64_t depth = 9 * job.kept, width = job.hidden;
    for (int64_t n = 0; n < width; n += LANES) {
      Lanes sums[CELLS] = {};
      multiply(around, 3 * job.kept, depth, job.on_latent + n, width, sums);
      for (int64_t cell = 0; cell < CELLS; ++cell) {
        Lanes sum = sums[cell] + lanes(context + cell * width + n);
        if (job.context_gain) sum = sum * lanes(job.context_gain + n) + lanes(job.context_bias + n);
        put(middle + cell * width + n, relu(sum));
      }
    }
    for (int64_t n = 0; n < width; n += LANES) {
      Lanes sums[CELLS];
      for (Lanes& sum : sums) sum = lanes(job.mix_bias + n);
      multiply(middle, width, width, job.mix + n, width, sums);
      for (int64_t cell = 0; cell < CELLS; ++cell) put(out + cell * width + n, relu(sums[cell]));
    }
  }

  FLOWKIT_INLINE void last(const float* const (&rows)[3], int64_t x, float* out) const {
    add_rows(*this, rows, x, final.data(), 1, out);
  }
};

// The parameters (outs, across) of a row, from the sums of the cells at the left of each, at it, and at its right.
inline void add_columns(const Job& job, const float* sums, int64_t stride, float* parameters, int64_t across) {
  const int64_t outs = 2 * job.moved, step = stride + outs;
#ifdef __SSE2__
  if (outs == 4) {
    const __m128 bias = _mm_loadu_ps(job.last_bias);
    for (int64_t x = 0; x < job.width; x += 4) {  // `across` is a multiple of 4
      __m128 of_cell[4];
      for (int64_t i = 0; i < 4; ++i) {
        const float* from = sums + (x + i) * stride;
        const __m128 ends = _mm_add_ps(_mm_loadu_ps(from), _mm_loadu_ps(from + 2 * step));
        of_cell[i] = _mm_add_ps(_mm_add_ps(bias, _mm_loadu_ps(from + step)), ends);
      }
      _MM_TRANSPOSE4_PS(of_cell[0], of_cell[1], of_cell[2], of_cell[3]);
      for (int64_t o = 0; o < 4; ++o) _mm_storeu_ps(parameters + o * across + x, of_cell[o]);
    }
    return;
  }
#endif
  for (int64_t x = 0; x < job.width; ++x) {
    for (int64_t o = 0; o < outs; ++o) {
      const float* from = sums + x * stride + o;
      parameters[o * across + x] = (job.last_bias[o] + from[step]) + (from[0] + from[2 * step]);
    }
  }
}

template <int SCALE, bool WITH_EPS>
FLOWKIT_INLINE void move(const float* z, const float* shift, const float* raw, int64_t n, float log_eps, float* out) {
#pragma omp simd
  for (int64_t x = 0; x < n; ++x) {
    LogScale<float, SCALE> log_s(raw[x]);
    if (WITH_EPS) log_s.add(log_eps);
    out[x] = moved(z[x], shift[x], log_s.value, true);
  }
}

template <int SCALE>
FLOWKIT_INLINE void move_as(const Job& job, const float* z, const float* shift, const float* raw, int64_t n, float* out) {
  if (job.eps > 0) {
    move<SCALE, true>(z, shift, raw, n, static_cast<float>(std::log(job.eps)), out);
  } else {
    move<SCALE, false>(z, shift, raw, n, 0.0f, out);
  }
}

// A channel of bias + map x, of n cells; `values` has channels of `across` floats.
template <int64_t KNOWN>
void mix(const Job& job, int64_t channel, const float* values, int64_t across, int64_t n, float* __restrict out) {
  const int64_t channels = KNOWN ? KNOWN : job.channels;
  const float* weights = job.channel_map + channel * channels;
  for (int64_t first = 0; first < channels; first += 4) {
    const int64_t count = KNOWN ? 4 : std::min<int64_t>(4, channels - first);
    const float* from = values + first * across;
#pragma omp simd
    for (int64_t x = 0; x < n; ++x) {
      float sum = first ? out[x] : job.channel_bias[channel];
      for (int64_t i = 0; i < count; ++i) sum += weights[first + i] * from[i * across + x];
      out[x] = sum;
    }
  }
}

// A row of the result, from its parameters (2 moved, across); `values` has room for (channels, across).
inline void finish(const Job& job, int64_t row, const float* parameters, float* values, int64_t across) {
  const int64_t n = job.width, plane = job.height * n, at = row * n;
  for (int64_t c = 0; c < job.kept; ++c) {
    const int64_t channel = job.first_kept + c;
    std::memcpy(values + channel * across, job.z + channel * job.z_plane + row * job.z_row, n * sizeof(float));
  }
  for (int64_t c = 0; c < job.moved; ++c) {
    const int64_t channel = job.first_moved + c;
    const float *z = job.z + channel * job.z_plane + row * job.z_row, *shift = parameters + c * across;
    const float* raw = shift + job.moved * across;
    float* out = values + channel * across;
    if (job.scale == SOFT) move_as<SOFT>(job, z, shift, raw, n, out);
    if (job.scale == SIGMOID) move_as<SIGMOID>(job, z, shift, raw, n, out);
    if (job.scale == EXP) move_as<EXP>(job, z, shift, raw, n, out);
  }
  for (int64_t c = 0; job.cell_gain && c < job.channels; ++c) {
    float* of_channel = values + c * across;
    const float *gain = job.cell_gain + c * plane + at, *shift = job.cell_shift + c * plane + at;
#pragma omp simd
    for (int64_t x = 0; x < n; ++x) of_channel[x] = of_channel[x] * gain[x] + shift[x];
  }
  for (int64_t c = 0; c < job.channels; ++c) {
    float* out = job.out + c * plane + at;
    if (!job.channel_map) {
      std::memcpy(out, values + c * across, n * sizeof(float));
    } else if (job.channels == 4) {
      mix<4>(job, c, values, across, n, out);
    } else {
      mix<0>(job, c, values, across, n, out);
    }
  }
}

template <typename Engine, typename Context>
void compute(const Job& job) {
  typedef typename Engine::Value Value;
  const Engine engine(job);
  const int64_t width = job.width, across = round_up(width, Engine::STEP);
  const int64_t cell = 3 * job.kept, outs = engine.outs;
  // z1 of the rows around each of three, (columns, rows, kept), with a cell of zeros at each end
  std::vector<Value> around[3];
  for (auto& of_row : around) of_row.resize((across + 2) * cell + Engine::STEP);
  std::vector<Value> hidden(3 * across * job.hidden);             // of three rows
  std::vector<float> sums((across + 2) * outs);                   // a cell of zeros at each end
  std::vector<float> parameters(2 * job.moved * across), values(job.channels * across);
  std::vector<Context> rest(Engine::STEP * job.hidden);
  const auto take = [&](int64_t row) {
    for (int64_t c = 0; c < job.kept; ++c) {
      const float* z = job.z + (job.first_kept + c) * job.z_plane + row * job.z_row;
      Value* to[3];  // it is the third row around the one before it, the second around itself, and the first after
      for (int64_t i = 0; i < 3; ++i) to[i] = &around[(row + 2 + i) % 3][cell + (2 - i) * job.kept + c];
      for (int64_t x = 0; x < width; ++x) {
        const Value value = row < job.height ? Engine::value(z[x]) : Value(0);
        for (int64_t i = 0; i < 3; ++i) to[i][x * cell] = value;
      }
    }
  };
  const auto row_of = [&](int64_t row) { return &hidden[row % 3 * across * job.hidden]; };
  take(0);
  for (int64_t made = 0; made <= job.height; ++made) {
    if (made < job.height) {
      take(made + 1);
      const Context* context = static_cast<const Context*>(job.context) + made * width * job.hidden;
      for (int64_t x = 0; x < across; x += Engine::STEP) {
        const Context* from = context + x * job.hidden;
        if (x + Engine::STEP > width) {  // beyond the last cell there may be no memory
          std::copy_n(from, (width - x) * job.hidden, rest.begin());
          from = rest.data();
        }
        engine.hidden(&around[made % 3][x * cell], from, row_of(made) + x * job.hidden);
      }
    }
    if (made == 0) continue;
    const int64_t row = made - 1;
    const Value* const rows[3] = {row ? row_of(row - 1) : nullptr, row_of(row),
                                  made < job.height ? row_of(made) : nullptr};
    for (int64_t x = 0; x < across; x += Engine::STEP) engine.last(rows, x, &sums[(x + 1) * outs]);
    std::fill_n(&sums[(width + 1) * outs], outs, 0.0f);
    add_columns(job, sums.data(), outs, parameters.data(), across);
    finish(job, row, parameters.data(), values.data(), across);
  }
}
