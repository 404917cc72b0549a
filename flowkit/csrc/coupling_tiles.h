// The coupling's convolutions in bfloat16 on a processor with matrix tiles (AMX). Included after `coupling_pairs.h`.

// gcc's loads of tiles and of their shapes do not say that they read memory.
FLOWKIT_INLINE void write_all() { __asm__ volatile("" ::: "memory"); }

struct Tiles {
  typedef Low Value;
  static constexpr int64_t SIDE = 16, DEPTH = 32, STEP = 2 * SIDE;
  static constexpr int64_t TILE = SIDE * DEPTH;  // values

  const Job& job;
  const int64_t outs;      // floats for each cell of what `last` makes
  const int64_t firsts;    // tiles deep of the first convolution
  const int64_t hiddens;   // tiles deep of the others, of each row
  std::vector<Low> first, mix, final;

  explicit Tiles(const Job& job)
      : job(job),
        outs(round_up(6 * job.moved, SIDE)),
        firsts(round_up(9 * job.kept, DEPTH) / DEPTH),
        hiddens(job.hidden / DEPTH) {
    pack(first, 9 * job.kept, job.hidden, [&](int64_t k, int64_t n) { return job.on_latent[k * job.hidden + n]; });
    pack(mix, job.hidden, job.hidden, [&](int64_t k, int64_t n) { return job.mix[k * job.hidden + n]; });
    for (int64_t row = 0; row < 3; ++row) {
      pack(final, job.hidden, outs, [&](int64_t k, int64_t n) {
        return n < 6 * job.moved ? last_weight(job, row * job.hidden + k, n) : 0.0f;
      });
    }
    Shapes shapes = {};
    shapes.palette = 1;
    for (int i = 0; i < 8; ++i) {
      shapes.bytes[i] = 64;
      shapes.rows[i] = SIDE;
    }
    _tile_storeconfig(&before);
    write_all();
    _tile_loadconfig(&shapes);
  }

  // Other libraries may expect their own shapes.
  ~Tiles() {
    write_all();
    if (before.palette) {
      _tile_loadconfig(&before);
    } else {
      _tile_release();
    }
  }

  static FLOWKIT_INLINE Low value(float x) { return low(x); }

  // Makes relu(M relu(A u + B z1)) of cells, from what is around them and A u.
  template <typename Context>
  FLOWKIT_APART void hidden(const Low* around, const Context* context, Low* out) const {
    alignas(64) float sums[STEP * DEPTH];
    alignas(64) Low middle[STEP * MOST_HIDDEN];
    const int64_t width = job.hidden;
    for (int64_t n = 0; n < hiddens; ++n) {
      const Low* weights = &first[n * firsts * 2 * TILE];
      clear_four();
      for (int64_t k = 0; k < firsts; ++k) {
        multiply_four(around + k * DEPTH, 3 * job.kept, weights + k * 2 * TILE);
      }
      store_four(sums);
      add_context(job, n * DEPTH, sums, context, middle);
    }
    for (int64_t n = 0; n < hiddens; ++n) {
      const Low* weights = &mix[n * hiddens * 2 * TILE];
      clear_four();
      for (int64_t k = 0; k < hiddens; ++k) multiply_four(middle + k * DEPTH, width, weights + k * 2 * TILE);
      store_four(sums);
      add_bias(job.mix_bias + n * DEPTH, sums, out + n * DEPTH, width);
    }
  }

  // Makes the sums over rows of the last convolution, one for each column of its kernel.
  FLOWKIT_APART void last(const Low* const (&rows)[3], int64_t x, float* out) const {
    write_all();
    for (int64_t n = 0; n < outs; n += SIDE) {
      _tile_zero(0);
      _tile_zero(2);
      for (int64_t row = 0; row < 3; ++row) {
        if (!rows[row]) continue;
        for (int64_t k = 0; k < hiddens; ++k) {
          const Low* a = rows[row] + x * job.hidden + k * DEPTH;
          const int64_t pair = (row * ((outs + 31) / 32) + n / 32) * hiddens + k;
          _tile_loadd(4, a, job.hidden * sizeof(Low));
          _tile_loadd(5, a + SIDE * job.hidden, job.hidden * sizeof(Low));
          _tile_loadd(6, &final[pair * 2 * TILE + n / SIDE % 2 * TILE], 64);
          _tile_dpbf16ps(0, 4, 6);
          _tile_dpbf16ps(2, 5, 6);
        }
      }
      _tile_stored(0, out + n, outs * sizeof(float));
      _tile_stored(2, out + SIDE * outs + n, outs * sizeof(float));
    }
  }

 private:
  struct alignas(64) Shapes {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
  };
  Shapes before;

  // Adds pairs of tiles of b (depth, width), first by columns, then by depth. Each tile has a row for two of k.
  template <typename Weight>
  static void pack(std::vector<Low>& into, int64_t depth, int64_t width, const Weight& weight) {
    for (int64_t column = 0; column < width; column += 2 * SIDE) {
      for (int64_t row = 0; row < depth; row += DEPTH) {
        for (int64_t i = 0; i < 2 * TILE; ++i) {
          const int64_t n = column + i / TILE * SIDE + i % DEPTH / 2, k = row + i % TILE / DEPTH * 2 + i % 2;
          into.push_back(k < depth && n < width ? low(weight(k, n)) : Low(0));
        }
      }
    }
  }

  // relu(gain (sums + A u) + bias), of DEPTH hidden values from n on.
  template <typename Context>
  static FLOWKIT_APART void add_context(const Job& job, int64_t n, const float* sums, const Context* context,
                                        Low* out) {
    const int64_t width = job.hidden;
    Lanes gains[2] = {Lanes{} + 1.0f, Lanes{} + 1.0f}, biases[2] = {};
    for (int64_t half = 0; half < 2 && job.context_gain; ++half) {
      gains[half] = lanes(job.context_gain + n + half * LANES);
      biases[half] = lanes(job.context_bias + n + half * LANES);
    }
    for (int64_t cell = 0; cell < STEP; ++cell) {
      const Context* from = context + cell * width + n;
      const Lanes one = (lanes(sums + cell * DEPTH) + lanes(from)) * gains[0] + biases[0];
      const Lanes two = (lanes(sums + cell * DEPTH + LANES) + lanes(from + LANES)) * gains[1] + biases[1];
      put_low(out + cell * width + n, relu(one));
      put_low(out + cell * width + n + LANES, relu(two));
    }
  }

  // relu(sums + bias), of DEPTH hidden values.
  static FLOWKIT_APART void add_bias(const float* bias, const float* sums, Low* out, int64_t width) {
    const Lanes first = lanes(bias), second = lanes(bias + LANES);
    for (int64_t cell = 0; cell < STEP; ++cell) {
      const float* from = sums + cell * DEPTH;
      put_low(out + cell * width, relu(lanes(from) + first));
      put_low(out + cell * width + LANES, relu(lanes(from + LANES) + second));
    }
  }

  // Of two tiles of cells, 16 each, and two of hidden values.
  static FLOWKIT_INLINE void clear_four() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }

  static FLOWKIT_INLINE void multiply_four(const Low* a, int64_t stride, const Low* b) {
    write_all();
    _tile_loadd(4, a, stride * sizeof(Low));
    _tile_loadd(5, a + SIDE * stride, stride * sizeof(Low));
    _tile_loadd(6, b, 64);
    _tile_loadd(7, b + TILE, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }

  static FLOWKIT_INLINE void store_four(float* to) {
    _tile_stored(0, to, 128);
    _tile_stored(1, to + SIDE, 128);
    _tile_stored(2, to + SIDE * 32, 128);
    _tile_stored(3, to + SIDE * 32 + SIDE, 128);
  }
};
