// In place of csrc/backends/torch/target_cuda.cc: the host as a device, on which libtorch computes
// as it is asked. What libtorch would keep on a device, a hoard of that device's memory stands for.
#include "torch/host_target.h"

#include <array>
#include <memory>
#include <mutex>
#include <utility>

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

std::mutex mutex;
std::array<std::shared_ptr<device::HostDevice>, 2> devices;  // with the mutex, like the next
std::array<std::unique_ptr<device::Block>, devices.size()> hoards;
int times_given_back = 0;

}  // namespace

Result<TorchTarget> open_target(int ordinal) {
  const std::scoped_lock lock(mutex);
  const auto place = static_cast<std::size_t>(ordinal);
  if (place >= devices.size()) return failed_precondition("there are two hosts that play devices");
  if (devices[place] == nullptr) devices[place] = std::make_shared<device::HostDevice>();
  return TorchTarget{.device = devices[place], .place = c10::kCPU};
}

void give_back_unused() noexcept {
  const std::scoped_lock lock(mutex);
  ++times_given_back;
  hoards = {};
}

Result<std::unique_ptr<ComputeStream>> make_stream(const TorchTarget& /*target*/) {
  return std::unique_ptr<ComputeStream>(std::make_unique<HostComputeStream>());
}

}  // namespace slipstream::libtorch

bool host_target_hoard(int device, std::size_t bytes) {
  using slipstream::libtorch::devices;
  using slipstream::libtorch::hoards;
  const std::scoped_lock lock(slipstream::libtorch::mutex);
  const auto place = static_cast<std::size_t>(device);
  auto block = devices.at(place)->allocate(bytes);
  if (!block.is_ok()) return false;
  hoards.at(place) = std::move(block).value();
  return true;
}

int host_target_given_back() {
  const std::scoped_lock lock(slipstream::libtorch::mutex);
  return slipstream::libtorch::times_given_back;
}
