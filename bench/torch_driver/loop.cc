// Calls of a frozen TorchScript module by libtorch itself: what our own cost is measured against.
//
// The input is a tensor that is there already, and the answer is looked at once, after the last
// call: nothing around a call is counted but the call. One thread.
#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include <chrono>
#include <cstdint>
#include <cstring>

extern "C" __attribute__((visibility("default"))) void* open_module(const char* path) {
  at::set_num_threads(1);
  torch::jit::getProfilingMode() = false;
  torch::jit::getExecutorMode() = false;
  torch::jit::Module module = torch::jit::load(path);
  module.eval();
  return new torch::jit::Module(torch::jit::freeze(module));  // lives as long as the process
}

// Nanoseconds of `calls` calls with `rows` rows; the `count` numbers of the last answer go to
// `answer`.
extern "C" __attribute__((visibility("default"))) std::int64_t time_module(
    void* module, float* rows, std::int64_t row_count, std::int64_t width, std::int64_t count,
    float* answer, std::int64_t calls) {
  const c10::InferenceMode inference;
  auto forward = static_cast<torch::jit::Module*>(module)->get_method("forward");
  const at::Tensor input = at::from_blob(rows, {row_count, width});
  at::Tensor last;
  const auto begin = std::chrono::steady_clock::now();
  for (std::int64_t i = 0; i < calls; ++i) last = forward({input}).toTensor();
  const auto elapsed = std::chrono::steady_clock::now() - begin;
  std::memcpy(answer, last.const_data_ptr(), static_cast<std::size_t>(count) * sizeof(float));
  return std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count();
}
