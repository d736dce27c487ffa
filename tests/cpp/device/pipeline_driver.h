// Drives a pipeline of doublings on the simulated device, for tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "device/doubling.h"
#include "harness.h"

namespace slipstream::device {

inline constexpr std::int64_t kWidth = 24;
inline constexpr std::int64_t kMaxRows = 8;
inline constexpr Nanoseconds kCopyNs = 2'000;
inline constexpr Nanoseconds kComputeNs = 5'000;

inline std::unique_ptr<Pipeline> made(const std::shared_ptr<Device>& device,
                                      Computation& computation, std::size_t slots) {
  Result<std::unique_ptr<Pipeline>> pipeline =
      Pipeline::create(device, computation, doubling_spec(), {.slots = slots});
  REQUIRE(pipeline.is_ok());
  return std::move(pipeline).value();
}

// Of the batch that was launched first, once it has ended, which must go well.
inline std::vector<Tensor> answer_of(Pipeline& pipeline) {
  Status how;
  std::vector<Tensor> outputs;
  while (!pipeline.finished(how, outputs)) std::this_thread::yield();
  REQUIRE(how.is_ok());
  return outputs;
}

// Drives a pipeline as a worker does: launches while there is room, takes what has ended.
struct Driver {
  explicit Driver(Pipeline& driven) : pipeline(driven) {}

  // Launches the next batch; false while every slot is in flight.
  bool launch(std::int64_t rows = kMaxRows) {
    if (pipeline.in_flight() == pipeline.slots()) return false;
    const std::vector<Tensor> inputs{doubling_rows(batches.size(), rows, kWidth)};
    const Piece piece{.inputs = inputs, .begin_row = 0, .end_row = rows};
    pipeline.launch({.pieces = {&piece, 1}, .rows = rows});
    batches.push_back({.inputs = inputs, .rows = rows});
    return true;
  }

  // Takes the oldest batch if it has ended.
  bool take() {
    Status how;
    std::vector<Tensor> outputs;
    if (!pipeline.finished(how, outputs)) return false;
    Sent& batch = batches[ended.size()];
    if (how.is_ok()) {
      CHECK(is_right(outputs.at(0), ended.size(), batch.rows, kWidth));
    }
    batch.inputs.clear();
    ended.push_back(how);
    return true;
  }

  void take_all() {
    while (pipeline.in_flight() > 0) {
      if (!take()) std::this_thread::yield();
    }
  }

  void run(std::size_t count) {
    const std::size_t until = batches.size() + count;
    while (batches.size() < until) {
      if (!launch() && !take()) std::this_thread::yield();
    }
    take_all();
  }

  struct Sent {
    std::vector<Tensor> inputs;  // until it has ended
    std::int64_t rows;
  };
  Pipeline& pipeline;
  std::vector<Sent> batches;
  std::vector<Status> ended;
};

}  // namespace slipstream::device
