#include "cuda/block.h"

#include <algorithm>
#include <string>
#include <utility>

namespace slipstream::cuda {
namespace {

class DeviceBlock final : public device::Block {
 public:
  DeviceBlock(const std::shared_ptr<Context>& context, CUdeviceptr address,
              std::size_t bytes) noexcept
      : context_(context), address_(address), bytes_(bytes) {}
  DeviceBlock(const DeviceBlock&) = delete;
  DeviceBlock& operator=(const DeviceBlock&) = delete;
  ~DeviceBlock() override {
    context_->destroy([this] { return context_->call().mem_free(address_); });
  }
  [[nodiscard]] void* address() const noexcept override {
    return reinterpret_cast<void*>(address_);  // NOLINT(performance-no-int-to-ptr): as CUDA has it
  }
  [[nodiscard]] std::size_t bytes() const noexcept override { return bytes_; }

 private:
  Share context_;
  CUdeviceptr address_;
  std::size_t bytes_;
};

class PinnedBlock final : public device::Block {
 public:
  PinnedBlock(const std::shared_ptr<Context>& context, void* address, std::size_t bytes) noexcept
      : context_(context), address_(address), bytes_(bytes) {}
  PinnedBlock(const PinnedBlock&) = delete;
  PinnedBlock& operator=(const PinnedBlock&) = delete;
  ~PinnedBlock() override {
    context_->destroy([this] { return context_->call().mem_free_host(address_); });
  }
  [[nodiscard]] void* address() const noexcept override { return address_; }
  [[nodiscard]] std::size_t bytes() const noexcept override { return bytes_; }

 private:
  Share context_;
  void* address_;
  std::size_t bytes_;
};

// CUDA has no blocks of no bytes.
std::size_t asked_bytes(std::size_t bytes) noexcept {
  return std::max<std::size_t>(bytes, 1);
}

Status checked(Context& context, CUresult result, const char* function, std::size_t bytes,
               const char* remedy) {
  Status status =
      context.check(result, std::string(function) + " of " + std::to_string(bytes) + " bytes");
  if (result != CUDA_ERROR_OUT_OF_MEMORY) return status;
  return resource_exhausted(status.message() + remedy);
}

}  // namespace

Result<std::unique_ptr<device::Block>> allocate_on_device(const std::shared_ptr<Context>& context,
                                                          std::size_t bytes) {
  if (Status status = context->usable(); !status.is_ok()) return status;
  CUdeviceptr address = 0;
  Status status =
      checked(*context, context->call().mem_alloc(&address, asked_bytes(bytes)), "cuMemAlloc",
              bytes, "; use fewer or smaller models or batches on this device");
  if (!status.is_ok()) return status;
  return std::unique_ptr<device::Block>(std::make_unique<DeviceBlock>(context, address, bytes));
}

Result<std::unique_ptr<device::Block>> allocate_on_host(const std::shared_ptr<Context>& context,
                                                        std::size_t bytes) {
  if (Status status = context->usable(); !status.is_ok()) return status;
  void* address = nullptr;
  Status status = checked(
      *context,
      context->call().mem_host_alloc(&address, asked_bytes(bytes), CU_MEMHOSTALLOC_PORTABLE),
      "cuMemHostAlloc", bytes, "; the host has no more memory that can be pinned");
  if (!status.is_ok()) return status;
  return std::unique_ptr<device::Block>(std::make_unique<PinnedBlock>(context, address, bytes));
}

}  // namespace slipstream::cuda
