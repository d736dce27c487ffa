// A served model whose instances are on simulated devices.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/served_model.h"
#include "device/device_instance.h"
#include "doubling.h"
#include "harness.h"
#include "recording_sink.h"

namespace slipstream::device {

class DoublingModel final : public Model {
 public:
  DoublingModel(std::shared_ptr<SimulatedDevice> device, Nanoseconds compute_ns,
                PipelineOptions options)
      : device_(std::move(device)), compute_ns_(compute_ns), options_(options) {}

  const ModelSpec& spec() const noexcept override { return spec_; }
  Result<std::unique_ptr<Instance>> create_instance() noexcept override {
    auto doubling = std::make_unique<Doubling>(*device_, compute_ns_);
    made.push_back(doubling.get());
    return DeviceInstance::create(device_, std::move(doubling), spec_, options_);
  }

  std::vector<Doubling*> made;  // valid while their instances are

 private:
  const ModelSpec spec_ = doubling_spec();
  std::shared_ptr<SimulatedDevice> device_;
  Nanoseconds compute_ns_;
  PipelineOptions options_;
};

struct DeviceFixture {
  struct Times {
    Nanoseconds copy_ns = 2'000;
    Nanoseconds compute_ns = 5'000;
    bool is_real_time = false;
  };
  static constexpr std::int64_t kWidth = 16;

  std::shared_ptr<SimulatedDevice> device;
  RequestPool pool{4096};
  DeadlineTimer timer{pool};
  std::shared_ptr<testing::RecordingSink> sink = std::make_shared<testing::RecordingSink>();
  DoublingModel* model = nullptr;  // of `served`
  std::shared_ptr<ServedModel> served;

  DeviceFixture(ServeOptions options, Times times, std::size_t slots = 3)
      : device(std::make_shared<SimulatedDevice>(
            SimulatedOptions{.copy_ns = times.copy_ns, .is_real_time = times.is_real_time})) {
    auto made =
        std::make_unique<DoublingModel>(device, times.compute_ns, PipelineOptions{.slots = slots});
    model = made.get();
    auto created = ServedModel::create(pool, timer, std::move(made), std::move(options));
    REQUIRE(created.is_ok());
    served = created.value();
  }
  DeviceFixture(const DeviceFixture&) = delete;
  DeviceFixture& operator=(const DeviceFixture&) = delete;
  ~DeviceFixture() { served->close(0); }

  Status submit(std::uint64_t tag, std::int64_t rows, RequestOptions options = {},
                Ticket* ticket = nullptr) {
    std::vector<Tensor> inputs;
    inputs.push_back(doubling_rows(tag, rows, kWidth));
    return served->submit(std::move(inputs), options, sink, tag, ticket);
  }
  // Whether the answer is that of rows which began at any row of their batch: the computation adds
  // the number of the row.
  [[nodiscard]] bool is_answer(std::uint64_t tag, std::int64_t rows) const {
    const Response response = sink->response(tag);
    if (!response.status.is_ok() || response.outputs.size() != 1) return false;
    const Tensor& answer = response.outputs[0];
    if (!(answer.shape() == Shape{rows, kWidth})) return false;
    const Tensor input = doubling_rows(tag, rows, kWidth);
    const auto have = answer.as<std::uint8_t>();
    const auto from = input.as<std::uint8_t>();
    const auto first = static_cast<std::uint8_t>(have[0] - Doubling::answer(from[0], 0));
    for (std::size_t i = 0; i < have.size(); ++i) {
      const std::size_t row = i / static_cast<std::size_t>(kWidth);
      if (have[i] != Doubling::answer(from[i], first + row)) return false;
    }
    return true;
  }
};

}  // namespace slipstream::device
