// In place of csrc/backends/torch/target_cuda.cc: the host as a device, on which libtorch computes
// as it is asked.
#include <memory>

#include "backends/torch/target.h"
#include "device/host_device.h"

namespace slipstream::libtorch {
namespace {

// Counts, so that a scope which is not left, or is not there, shows.
class HostComputeStream final : public ComputeStream {
 public:
  void use() override { is_used_ = true; }
  void leave() noexcept override { is_used_ = false; }

  Status copy_to_device(void* to, const void* from, std::size_t bytes) noexcept override {
    return inner_.copy_to_device(to, from, bytes);
  }
  Status copy_to_host(void* to, const void* from, std::size_t bytes) noexcept override {
    return inner_.copy_to_host(to, from, bytes);
  }
  Status record(device::Event& event) noexcept override {
    return is_used_ ? internal_error("a scope was not left") : inner_.record(event);
  }
  Status wait(device::Event& event) noexcept override { return inner_.wait(event); }
  Status call(void (*function)(void*) noexcept, void* context) noexcept override {
    return inner_.call(function, context);
  }
  Status begin_capture() noexcept override { return inner_.begin_capture(); }
  Result<std::unique_ptr<device::Graph>> end_capture() noexcept override {
    return inner_.end_capture();
  }
  Status launch(device::Graph& graph) noexcept override { return inner_.launch(graph); }
  void* native() noexcept override { return nullptr; }

 private:
  device::HostStream inner_;
  bool is_used_ = false;
};

}  // namespace

Result<TorchTarget> open_target(int ordinal) {
  if (ordinal > 1) return failed_precondition("there are two hosts that play devices");
  return TorchTarget{.device = std::make_shared<device::HostDevice>(), .place = c10::kCPU};
}

Result<std::unique_ptr<ComputeStream>> make_stream(const TorchTarget& /*target*/) {
  return std::unique_ptr<ComputeStream>(std::make_unique<HostComputeStream>());
}

}  // namespace slipstream::libtorch
