// The kernels without torch: how many registers they need is read in test_cuda_source.py. Those for float16
// are left out, which differ from those for bfloat16 in one instruction, and those for doubles, which few use.
#include "affine_kernels.cuh"

namespace {

struct Launch {
  template <typename... Parameters, typename... Arguments>
  void operator()(void (*kernel)(Parameters...), int64_t blocks, Arguments... arguments) const {
    kernel<<<static_cast<unsigned>(blocks), flowkit::THREADS>>>(arguments...);
  }
  template <typename... All>
  void after(All... all) const {
    (*this)(all...);
  }
};

}  // namespace

template <typename S>
void both(const flowkit::Job<S>& job, flowkit::Real<S>* sums) {
  flowkit::run_forward(job, sums, sums, Launch());
  flowkit::run_backward(job, Launch());
}

template void both(const flowkit::Job<float>&, float*);
template void both(const flowkit::Job<__nv_bfloat16>&, float*);
