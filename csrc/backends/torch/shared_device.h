// SharedDevice: a device whose memory libtorch has a share of, also of what it does not use.
//
// libtorch keeps what it has freed for itself. So where the device has no memory for somebody else,
// libtorch is made to give back what it keeps, and the device is asked once more.
//
// When to use: for what stands beside libtorch on the same device, as slots and answers. When not:
// for libtorch's own memory, for which it gives back what it keeps by itself.
// Threads, failure: as a Device; what is asked for again waits for the device. Ownership: shares
// the device.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "device/device.h"

namespace slipstream::libtorch {

class SharedDevice final : public device::Device {
 public:
  // Makes libtorch give back what it keeps.
  using GiveBack = void (*)() noexcept;

  SharedDevice(std::shared_ptr<device::Device> inner, GiveBack give_back)
      : inner_(std::move(inner)), give_back_(give_back) {}

  [[nodiscard]] Result<std::unique_ptr<device::Block>> allocate(
      std::size_t bytes) noexcept override {
    return twice([&] { return inner_->allocate(bytes); });
  }
  [[nodiscard]] Result<std::unique_ptr<device::Block>> allocate_pinned(
      std::size_t bytes) noexcept override {
    return twice([&] { return inner_->allocate_pinned(bytes); });
  }
  [[nodiscard]] Result<std::unique_ptr<device::Stream>> create_stream() noexcept override {
    return twice([&] { return inner_->create_stream(); });
  }
  [[nodiscard]] Result<std::unique_ptr<device::Event>> create_event(
      device::Timing timing) noexcept override {
    return inner_->create_event(timing);
  }
  [[nodiscard]] std::string name() const noexcept override { return inner_->name(); }
  [[nodiscard]] Result<device::DeviceMemory> memory() noexcept override { return inner_->memory(); }
  void enter() noexcept override { inner_->enter(); }
  void leave() noexcept override { inner_->leave(); }
  void drain() noexcept override { inner_->drain(); }
  [[nodiscard]] Status health() noexcept override { return inner_->health(); }
  [[nodiscard]] Status recover() noexcept override { return inner_->recover(); }

 private:
  template <class Ask>
  [[nodiscard]] auto twice(const Ask& ask) noexcept -> decltype(ask()) {
    auto given = ask();
    if (given.is_ok() || given.status().code() != StatusCode::kResourceExhausted) return given;
    give_back_();
    return ask();
  }

  const std::shared_ptr<device::Device> inner_;
  const GiveBack give_back_;
};

}  // namespace slipstream::libtorch
