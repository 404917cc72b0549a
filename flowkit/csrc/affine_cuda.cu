// The affine op's CUDA kernels, as torch calls them; the library for the processor declares the op.
#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>

#include "affine_kernels.cuh"
#include "affine_tensors.h"

namespace flowkit {
namespace {

// On the current stream of z's device.
class Launcher {
 public:
  explicit Launcher(const Tensor& z) : guard_(z.get_device_index()) {
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(z.get_device_index(), &stream));
    stream_ = static_cast<cudaStream_t>(stream);
  }

  template <typename... Parameters, typename... Arguments>
  void operator()(void (*kernel)(Parameters...), int64_t blocks, Arguments... arguments) const {
    launch(kernel, blocks, 0u, static_cast<Parameters>(arguments)...);
  }

  // For a kernel that itself waits for the one before: its blocks may stand ready while that one still runs.
  template <typename... Parameters, typename... Arguments>
  void after(void (*kernel)(Parameters...), int64_t blocks, Arguments... arguments) const {
    cudaFuncAttributes compiled;
    STD_CUDA_CHECK(cudaFuncGetAttributes(&compiled, kernel));
    const bool waits = compiled.ptxVersion >= WAITING_ARCHITECTURE / 10;
    launch(kernel, blocks, waits ? 1u : 0u, static_cast<Parameters>(arguments)...);
  }

 private:
  template <typename... Parameters>
  void launch(void (*kernel)(Parameters...), int64_t blocks, unsigned attributes, Parameters... arguments) const {
    STD_TORCH_CHECK(blocks <= INT32_MAX, "z is too large for a grid: ", blocks, " blocks");
    cudaLaunchAttribute overlapping = {};
    overlapping.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlapping.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(static_cast<unsigned>(blocks));
    config.blockDim = dim3(THREADS);
    config.stream = stream_;
    config.attrs = &overlapping;
    config.numAttrs = attributes;
    STD_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, arguments...));
  }

  torch::stable::accelerator::DeviceGuard guard_;
  cudaStream_t stream_;
};

struct Gpu {
  using Half = __half;
  using BFloat16 = __nv_bfloat16;

  template <typename S>
  static void forward(const Job<S>& job, Real<S>* log_det, const Tensor& z) {
    const ScalarType type = std::is_same_v<S, double> ? ScalarType::Double : ScalarType::Float;
    const Tensor partial = empty(z, {job.extent.samples * chunks_of(job)}, type, false);
    const Launcher launcher(z);
    run_forward(job, static_cast<Real<S>*>(partial.data_ptr()), log_det, launcher);
  }

  template <typename S>
  static void backward(const Job<S>& job, const Tensor& z) {
    const Launcher launcher(z);
    run_backward(job, launcher);
  }
};

}  // namespace
}  // namespace flowkit

STABLE_TORCH_LIBRARY_IMPL(flowkit, CUDA, m) {
  m.impl("affine", TORCH_BOX(&flowkit::affine<flowkit::Gpu>));
  m.impl("affine_backward", TORCH_BOX(&flowkit::affine_backward<flowkit::Gpu>));
}
