#include "stages.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "waiting.h"

namespace slipstream::bench_gpu {
namespace {

constexpr std::int64_t kWarmups = 12;
constexpr std::size_t kSets = 4;  // of requests, in turn: one would stay in the processor's cache

// Requests that are joined to batches.
class Requests {
 public:
  Requests(const TensorSpec& spec, std::int64_t rows, std::size_t pieces) {
    const auto each = static_cast<std::int64_t>(pieces);
    for (std::size_t set = 0; set < kSets; ++set) {
      for (std::int64_t i = 0; i < each; ++i) {
        const std::int64_t mine = rows / each + (i < rows % each ? 1 : 0);
        Shape shape{std::span<const std::int64_t>(spec.dims)};
        shape.set_dim(0, mine);
        tensors_.push_back(Tensor::allocate(spec.dtype, std::move(shape)));
        std::memset(tensors_.back().data(), 0, tensors_.back().bytes());
      }
    }
    for (const Tensor& tensor : tensors_) {
      pieces_.push_back({.inputs = {&tensor, 1}, .begin_row = 0, .end_row = tensor.rows()});
    }
  }
  Requests(const Requests&) = delete;
  Requests& operator=(const Requests&) = delete;
  ~Requests() = default;

  [[nodiscard]] std::span<const Piece> of(std::int64_t batch) const {
    const std::size_t each = pieces_.size() / kSets;
    return std::span(pieces_).subspan((static_cast<std::size_t>(batch) % kSets) * each, each);
  }

 private:
  std::vector<Tensor> tensors_;
  std::vector<Piece> pieces_;
};

Status run_batches(device::Pipeline& pipeline, const Requests& requests, std::int64_t rows,
                   std::int64_t batches) {
  std::vector<Tensor> outputs;
  Status how;
  std::int64_t begun = 0;
  for (std::int64_t ended = 0; ended < batches;) {
    if (begun < batches && pipeline.in_flight() < pipeline.slots()) {
      pipeline.launch({.pieces = requests.of(begun), .rows = rows});
      ++begun;
    }
    if (!pipeline.finished(how, outputs)) continue;
    if (!how.is_ok()) return how;
    ++ended;
  }
  return Status::ok();
}

}  // namespace

Result<Nanoseconds> time_copies(device::Device& device, std::size_t bytes, Direction direction,
                                std::int64_t times) {
  Result<std::unique_ptr<device::Stream>> stream = device.create_stream();
  if (!stream.is_ok()) return stream.status();
  Result<std::unique_ptr<device::Event>> begin = device.create_event(device::Timing::kTimed);
  if (!begin.is_ok()) return begin.status();
  Result<std::unique_ptr<device::Event>> end = device.create_event(device::Timing::kTimed);
  if (!end.is_ok()) return end.status();
  Result<std::unique_ptr<device::Block>> host = device.allocate_pinned(bytes);
  if (!host.is_ok()) return host.status();
  Result<std::unique_ptr<device::Block>> there = device.allocate(bytes);
  if (!there.is_ok()) return there.status();
  std::memset(host.value()->address(), 0, bytes);
  Status status;
  for (std::int64_t i = -kWarmups; status.is_ok() && i < times; ++i) {
    if (i == 0) status = stream.value()->record(*begin.value());
    if (!status.is_ok()) break;
    status = direction == Direction::kToDevice
                 ? stream.value()->copy_to_device(there.value()->address(), host.value()->address(),
                                                  bytes)
                 : stream.value()->copy_to_host(host.value()->address(), there.value()->address(),
                                                bytes);
  }
  if (status.is_ok()) status = stream.value()->record(*end.value());
  if (status.is_ok()) status = wait(*end.value());
  if (!status.is_ok()) {
    device.drain();
    return status;
  }
  const Result<Nanoseconds> took = end.value()->since(*begin.value());
  if (!took.is_ok()) return took.status();
  return took.value() / times;
}

Result<Nanoseconds> time_gather(device::Device& device, std::size_t bytes, std::size_t pieces,
                                std::int64_t times) {
  Result<std::unique_ptr<device::Block>> host = device.allocate_pinned(bytes);
  if (!host.is_ok()) return host.status();
  auto* const to = static_cast<std::byte*>(host.value()->address());
  const std::size_t each = bytes / pieces;
  std::vector<std::vector<std::byte>> from(pieces * kSets, std::vector<std::byte>(each));
  Nanoseconds begin = 0;
  for (std::int64_t i = -kWarmups; i < times; ++i) {
    if (i == 0) begin = now_ns();
    const std::size_t set = static_cast<std::size_t>(i + kWarmups) % kSets;
    for (std::size_t piece = 0; piece < pieces; ++piece) {
      std::memcpy(to + piece * each, from[set * pieces + piece].data(), each);
    }
  }
  return (now_ns() - begin) / times;
}

Result<Nanoseconds> time_pipeline(std::shared_ptr<device::Device> device,
                                  device::Computation& computation, const ModelSpec& spec,
                                  std::int64_t rows, std::size_t pieces, std::int64_t batches) {
  const Requests requests(spec.inputs.front(), rows, pieces);
  Result<std::unique_ptr<device::Pipeline>> pipeline =
      device::Pipeline::create(std::move(device), computation, spec, {});
  if (!pipeline.is_ok()) return pipeline.status();
  Status status = run_batches(*pipeline.value(), requests, rows, kWarmups);
  const Nanoseconds begin = now_ns();
  if (status.is_ok()) status = run_batches(*pipeline.value(), requests, rows, batches);
  if (!status.is_ok()) return status;
  return (now_ns() - begin) / batches;
}

Status NoComputation::build() noexcept {
  Result<std::unique_ptr<device::Stream>> stream = device_.create_stream();
  if (!stream.is_ok()) return stream.status();
  stream_ = std::move(stream).value();
  return Status::ok();
}

Status NoComputation::enqueue(device::Slot& slot) noexcept {
  const Result<void*> placed = slot.place_output(0, Shape{slot.padded_rows(), 1});
  return placed.is_ok() ? Status::ok() : placed.status();
}

}  // namespace slipstream::bench_gpu
