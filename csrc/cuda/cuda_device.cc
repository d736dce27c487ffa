#include "cuda/cuda_device.h"

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "cuda/block.h"
#include "cuda/context.h"
#include "cuda/driver.h"
#include "cuda/event.h"
#include "cuda/properties.h"
#include "cuda/stream.h"

namespace slipstream::cuda {
namespace {

class DriverDevice final : public CudaDevice {
 public:
  DriverDevice(std::shared_ptr<Context> context, CudaProperties properties)
      : context_(std::move(context)), properties_(std::move(properties)) {}

  [[nodiscard]] std::string name() const noexcept override {
    return properties_.name + " (cuda:" + std::to_string(properties_.index) + ")";
  }
  [[nodiscard]] const CudaProperties& properties() const noexcept override { return properties_; }

  [[nodiscard]] Result<std::unique_ptr<device::Stream>> create_stream() noexcept override {
    return CudaStream::create(context_);
  }
  [[nodiscard]] Result<std::unique_ptr<device::Event>> create_event(
      device::Timing timing) noexcept override {
    return CudaEvent::create(context_, timing);
  }
  [[nodiscard]] Result<std::unique_ptr<device::Block>> allocate(
      std::size_t bytes) noexcept override {
    return allocate_on_device(context_, bytes);
  }
  [[nodiscard]] Result<std::unique_ptr<device::Block>> allocate_pinned(
      std::size_t bytes) noexcept override {
    return allocate_on_host(context_, bytes);
  }
  [[nodiscard]] Result<device::DeviceMemory> memory() noexcept override {
    if (Status status = context_->usable(); !status.is_ok()) return status;
    device::DeviceMemory memory;
    Status status = context_->check(
        context_->call().mem_get_info(&memory.free_bytes, &memory.total_bytes), "cuMemGetInfo");
    if (!status.is_ok()) return status;
    return memory;
  }

  void enter() noexcept override { context_->enter(); }
  void leave() noexcept override { context_->leave(); }
  void drain() noexcept override {
    // A loss is remembered, and told by whatever is asked next; then nothing is in progress either.
    static_cast<void>(context_->check(context_->call().ctx_synchronize(), "cuCtxSynchronize"));
  }
  [[nodiscard]] Status health() noexcept override { return context_->usable(); }
  [[nodiscard]] Status recover() noexcept override { return context_->recover(); }

 private:
  std::shared_ptr<Context> context_;
  CudaProperties properties_;
};

std::mutex devices_mutex;

// Those that somebody holds, by index; with the mutex. Never destroyed: a device may be held by a
// static object.
std::map<int, std::weak_ptr<CudaDevice>>& known_devices() {
  static auto& devices = *new std::map<int, std::weak_ptr<CudaDevice>>;
  return devices;
}

Result<std::shared_ptr<CudaDevice>> open_device(const Driver& driver, int index) {
  Result<CudaProperties> properties = read_properties(driver, index);
  if (!properties.is_ok()) return properties.status();
  CUdevice handle = 0;
  if (const CUresult result = driver.call.device_get(&handle, index); result != CUDA_SUCCESS) {
    return cuda_status(driver, result, "cuda:" + std::to_string(index) + ": cuDeviceGet");
  }
  Result<std::shared_ptr<Context>> retained =
      Context::retain(driver, handle, "cuda:" + std::to_string(index));
  if (!retained.is_ok()) return retained.status();
  std::shared_ptr<Context> context = std::move(retained).value();
  return std::shared_ptr<CudaDevice>(
      std::make_shared<DriverDevice>(std::move(context), std::move(properties).value()));
}

}  // namespace

Result<std::shared_ptr<CudaDevice>> CudaDevice::open(int index) noexcept {
  Result<const Driver*> driver = Driver::open();
  if (!driver.is_ok()) return driver.status();
  const std::scoped_lock lock(devices_mutex);
  std::weak_ptr<CudaDevice>& known = known_devices()[index];
  if (std::shared_ptr<CudaDevice> device = known.lock()) return device;
  Result<std::shared_ptr<CudaDevice>> opened = open_device(*driver.value(), index);
  if (opened.is_ok()) known = opened.value();
  return opened;
}

}  // namespace slipstream::cuda
