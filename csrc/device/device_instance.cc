#include "device/device_instance.h"

#include <thread>
#include <utility>

namespace slipstream::device {
namespace {

constexpr Nanoseconds kBetweenRecoveriesNs = 100'000'000;

}  // namespace

Result<std::unique_ptr<Instance>> DeviceInstance::create(std::shared_ptr<Device> device,
                                                         std::unique_ptr<Computation> computation,
                                                         const ModelSpec& spec,
                                                         PipelineOptions options) {
  const Entered entered(*device);
  Result<std::unique_ptr<Pipeline>> pipeline =
      Pipeline::create(device, *computation, spec, options);
  if (!pipeline.is_ok()) return pipeline.status();
  return std::unique_ptr<Instance>(new DeviceInstance(std::move(device), std::move(computation),
                                                      std::move(pipeline).value(), spec.batchable));
}

DeviceInstance::DeviceInstance(std::shared_ptr<Device> device,
                               std::unique_ptr<Computation> computation,
                               std::unique_ptr<Pipeline> pipeline, bool is_batchable)
    : device_(std::move(device)),
      computation_(std::move(computation)),
      pipeline_(std::move(pipeline)),
      is_batchable_(is_batchable) {}

DeviceInstance::~DeviceInstance() {
  const Entered entered(*device_);
  pipeline_.reset();
}

// The caller waits here, since it has nothing else to do: it computes by itself.
Status DeviceInstance::execute(const Execution& execution, std::vector<Tensor>& outputs) noexcept {
  const std::int64_t rows =
      is_batchable_ && !execution.inputs.empty() ? execution.inputs.front().rows() : 1;
  const Piece all{.inputs = execution.inputs, .begin_row = 0, .end_row = rows};
  begin({.pieces = {&all, 1},
         .rows = rows,
         .outputs_wanted = execution.outputs_wanted,
         .memory = execution.memory});
  Status status;
  while (!poll(status, outputs)) std::this_thread::yield();
  return status;
}

void DeviceInstance::expect_rows(std::int64_t rows) noexcept {
  const Entered entered(*device_);
  pipeline_->expect_rows(rows);
}

void DeviceInstance::begin(const Launch& launch) noexcept {
  const Entered entered(*device_);
  if (pipeline_->is_lost() && pipeline_->in_flight() == 0) bring_back();
  pipeline_->launch(launch);
}

bool DeviceInstance::poll(Status& status, std::vector<Tensor>& outputs) noexcept {
  const Entered entered(*device_);
  return pipeline_->finished(status, outputs);
}

void DeviceInstance::bring_back() noexcept {
  const Nanoseconds now = now_ns();
  if (now < try_again_ns_) return;
  Status status = pipeline_->recover();
  if (status.is_ok()) recoveries_.fetch_add(1);
  try_again_ns_ = now_ns() + kBetweenRecoveriesNs;
  const std::scoped_lock lock(mutex_);
  not_back_ = std::move(status);
}

Status DeviceInstance::health() const noexcept {
  if (Status status = device_->health(); !status.is_ok()) return status;
  const std::scoped_lock lock(mutex_);
  return not_back_;
}

}  // namespace slipstream::device
