// A computation for tests on the simulated device: every output element is twice the input's, plus
// the number of the row. And batches of it, that tell whether the answer is right.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "core/backend.h"
#include "device/pipeline.h"
#include "device/simulated_device.h"
#include "harness.h"

namespace slipstream::device {

// What the computation is of: [rows, width] of uint8.
inline ModelSpec doubling_spec() {
  ModelSpec spec;
  spec.inputs = {{.name = "x", .dtype = DType::kUint8, .dims = {-1, -1}}};
  spec.outputs = {{.name = "y", .dtype = DType::kUint8, .dims = {-1, -1}}};
  spec.batchable = true;
  return spec;
}

class Doubling final : public Computation {
 public:
  Doubling(Device& device, Nanoseconds takes_ns) : device_(device), takes_ns_(takes_ns) {
    REQUIRE(make_stream().is_ok());
  }

  Stream& stream() noexcept override { return *stream_; }
  Status enqueue(Slot& slot) noexcept override {
    ++enqueued;
    if (!refusal.is_ok()) return std::exchange(refusal, Status());
    if (refuses_rows > 0 && slot.rows() >= refuses_rows) {
      return internal_error("too many rows for it");
    }
    const Slot::Input& in = slot.inputs()[0];
    if (is_on_host) {
      const auto* const bytes = static_cast<const std::uint8_t*>(in.host);
      seen_on_host.assign(bytes, bytes + in.shape.elements());
    }
    const Result<void*> out = slot.place_output(0, in.shape);
    if (!out.is_ok()) return out.status();
    const auto width = static_cast<std::size_t>(in.shape.elements_per_row());
    return SimulatedDevice::launch(*stream_, takes_ns_,
                                   [this, from = static_cast<const std::uint8_t*>(in.address),
                                    to = static_cast<std::uint8_t*>(out.value()), width,
                                    given = static_cast<std::size_t>(slot.rows()) * width,
                                    elements = static_cast<std::size_t>(in.shape.elements())] {
                                     while (is_held.load()) std::this_thread::yield();
                                     for (std::size_t i = given; i < elements; ++i)
                                       odd_padding += from[i] == from[i - width] ? 0 : 1;
                                     for (std::size_t i = 0; i < elements; ++i)
                                       to[i] = answer(from[i], i / width);
                                   });
  }
  std::int64_t padded_rows(std::int64_t rows) const noexcept override {
    return (rows + pads_to - 1) / pads_to * pads_to;
  }
  bool reads_on_host(std::size_t /*input*/) const noexcept override { return is_on_host; }
  void tear_down() noexcept override { stream_.reset(); }
  Status build() noexcept override {
    ++rebuilds;
    if (!build_refusal.is_ok()) return std::exchange(build_refusal, Status());
    return make_stream();
  }

  static std::uint8_t answer(std::uint8_t value, std::size_t row) noexcept {
    return static_cast<std::uint8_t>(value * 2 + row);
  }

  Status refusal;                    // of the next computation
  Status build_refusal;              // of the next build()
  std::int64_t refuses_rows = 0;     // as many, or more; 0: it takes any number
  std::atomic<bool> is_held{false};  // computations begin, and do not end
  std::int64_t pads_to = 1;          // the multiple
  std::atomic<int> odd_padding{0};   // bytes of padding that are not the last row's
  bool is_on_host = false;           // it reads its input there as well
  std::vector<std::uint8_t> seen_on_host;
  int enqueued = 0;
  int rebuilds = 0;

 private:
  Status make_stream() noexcept {
    Result<std::unique_ptr<Stream>> made = device_.create_stream();
    if (!made.is_ok()) return made.status();
    stream_ = std::move(made).value();
    return Status::ok();
  }

  Device& device_;
  std::unique_ptr<Stream> stream_;
  Nanoseconds takes_ns_;
};

// Rows of bytes that depend on the batch's number.
inline Tensor doubling_rows(std::size_t batch, std::int64_t rows, std::int64_t width) {
  Tensor tensor = Tensor::allocate(DType::kUint8, {rows, width});
  std::size_t i = 0;
  for (std::uint8_t& byte : tensor.as<std::uint8_t>()) {
    byte = static_cast<std::uint8_t>(batch * 31 + i++);
  }
  return tensor;
}

inline bool is_right(const Tensor& answer, std::size_t batch, std::int64_t rows,
                     std::int64_t width) {
  if (!(answer.shape() == Shape{rows, width})) return false;
  const auto bytes = answer.as<std::uint8_t>();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto value = static_cast<std::uint8_t>(batch * 31 + i);
    if (bytes[i] != Doubling::answer(value, i / static_cast<std::size_t>(width))) return false;
  }
  return true;
}

}  // namespace slipstream::device
