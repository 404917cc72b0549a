// The affine op by its CUDA kernels, run on the processor by cuda_emulator.h: torch.ops.flowkit_emulated.
#include "cuda_emulator.h"

#include "affine_kernels.cuh"
#include "affine_tensors.h"

namespace flowkit {

struct Emulated {
  using Half = __half;
  using BFloat16 = __nv_bfloat16;

  template <typename S>
  static void forward(const Job<S>& job, Real<S>* log_det, const Tensor&) {
    std::vector<Real<S>> partial(static_cast<size_t>(job.extent.samples * chunks_of(job)));
    run_forward(job, partial.data(), log_det, emulator::Launch<THREADS>());
  }

  template <typename S>
  static void backward(const Job<S>& job, const Tensor&) {
    run_backward(job, emulator::Launch<THREADS>());
  }
};

}  // namespace flowkit

STABLE_TORCH_LIBRARY(flowkit_emulated, m) {
  m.def("affine(Tensor z, Tensor shift, Tensor raw, int start, int scale, float eps, bool inverse) -> (Tensor, Tensor)");
  m.def(
      "affine_backward(Tensor by_out, Tensor by_log_det, Tensor z, Tensor shift, Tensor raw, int start, "
      "bool interleaved, int scale, float eps, bool inverse) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(flowkit_emulated, CPU, m) {
  m.impl("affine", TORCH_BOX(&flowkit::affine<flowkit::Emulated>));
  m.impl("affine_backward", TORCH_BOX(&flowkit::affine_backward<flowkit::Emulated>));
}

// How many accesses of sixteen bytes there have been.
extern "C" int64_t wide_accesses() { return emulator::wide; }
