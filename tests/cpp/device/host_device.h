// The host as a device, whose memory is the host's and which does at once whatever is put on it. So
// that all that a model on a GPU goes through runs here, on the CPU part of its framework, and is
// compared with what the CPU path answers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "device/device.h"

namespace slipstream::device {

inline constexpr std::size_t kHostDeviceBytes = std::size_t{64} << 20U;

class HostEvent final : public Event {
 public:
  Result<bool> is_done() noexcept override { return true; }
  Result<Nanoseconds> since(Event& /*earlier*/) noexcept override { return Nanoseconds{0}; }
};

class HostStream : public Stream {
 public:
  Status copy_to_device(void* to, const void* from, std::size_t bytes) noexcept override {
    std::memcpy(to, from, bytes);
    return Status::ok();
  }
  Status copy_to_host(void* to, const void* from, std::size_t bytes) noexcept override {
    std::memcpy(to, from, bytes);
    return Status::ok();
  }
  Status record(Event& /*event*/) noexcept override { return Status::ok(); }
  Status wait(Event& /*event*/) noexcept override { return Status::ok(); }
  Status call(void (*function)(void*) noexcept, void* context) noexcept override {
    function(context);
    return Status::ok();
  }
  Status begin_capture() noexcept override { return cannot_record(); }
  Result<std::unique_ptr<Graph>> end_capture() noexcept override { return cannot_record(); }
  Status launch(Graph& /*graph*/) noexcept override { return cannot_record(); }
  void* native() noexcept override { return nullptr; }

 private:
  static Status cannot_record() { return failed_precondition("the host records nothing"); }
};

class HostBlock final : public Block {
 public:
  HostBlock(std::shared_ptr<std::atomic<std::size_t>> used, std::size_t bytes)
      : used_(std::move(used)), bytes_(bytes), memory_(bytes) {}
  HostBlock(const HostBlock&) = delete;
  HostBlock& operator=(const HostBlock&) = delete;
  ~HostBlock() override { used_->fetch_sub(bytes_); }
  void* address() const noexcept override {
    return const_cast<std::byte*>(memory_.data());  // NOLINT: the block's owner may write it
  }
  std::size_t bytes() const noexcept override { return bytes_; }

 private:
  std::shared_ptr<std::atomic<std::size_t>> used_;
  std::size_t bytes_;
  std::vector<std::byte> memory_;
};

class HostDevice final : public Device {
 public:
  std::string name() const noexcept override { return "host"; }
  Result<std::unique_ptr<Stream>> create_stream() noexcept override {
    return std::unique_ptr<Stream>(std::make_unique<HostStream>());
  }
  Result<std::unique_ptr<Event>> create_event(Timing /*timing*/) noexcept override {
    return std::unique_ptr<Event>(std::make_unique<HostEvent>());
  }
  Result<std::unique_ptr<Block>> allocate(std::size_t bytes) noexcept override {
    if (used_->fetch_add(bytes) + bytes > kHostDeviceBytes) {
      used_->fetch_sub(bytes);
      return resource_exhausted("the host that plays a device gives out no more memory");
    }
    return std::unique_ptr<Block>(std::make_unique<HostBlock>(used_, bytes));
  }
  Result<std::unique_ptr<Block>> allocate_pinned(std::size_t bytes) noexcept override {
    return allocate(bytes);
  }
  Result<DeviceMemory> memory() noexcept override {
    return DeviceMemory{.free_bytes = kHostDeviceBytes - used_->load(),
                        .total_bytes = kHostDeviceBytes};
  }
  void enter() noexcept override {}
  void leave() noexcept override {}
  void drain() noexcept override {}
  Status health() noexcept override { return Status::ok(); }
  Status recover() noexcept override { return Status::ok(); }

 private:
  std::shared_ptr<std::atomic<std::size_t>> used_ = std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace slipstream::device
