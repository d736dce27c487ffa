// The pipeline on the simulated device: overlap, order, back-pressure, refusals, and a lost device.
#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "device/doubling.h"
#include "harness.h"

using namespace slipstream;
using namespace slipstream::device;

namespace {

constexpr std::size_t kRowBytes = 24;
constexpr std::size_t kMaxRows = 8;
constexpr Nanoseconds kCopyNs = 2'000;
constexpr Nanoseconds kComputeNs = 5'000;

std::unique_ptr<Pipeline> made(Device& device, Computation& computation, std::size_t slots) {
  Result<std::unique_ptr<Pipeline>> pipeline = Pipeline::create(device, computation,
                                                                {.input_row_bytes = {kRowBytes},
                                                                 .output_row_bytes = {kRowBytes},
                                                                 .max_rows = kMaxRows,
                                                                 .slots = slots});
  REQUIRE(pipeline.is_ok());
  return std::move(pipeline).value();
}

// Drives a pipeline as a worker does: fills what is free, takes what has ended.
struct Driver {
  explicit Driver(Pipeline& driven) : pipeline(driven) {}

  // Launches the next batch; false while no slot is free.
  bool launch(std::size_t rows = kMaxRows) {
    Slot* const slot = pipeline.acquire();
    if (slot == nullptr) return false;
    if (!pipeline.is_lost()) fill(*slot, rows, launched);
    pipeline.launch(*slot, rows);
    ++launched;
    return true;
  }

  // Takes the oldest batch if it has ended.
  bool take() {
    Status how;
    Slot* const slot = pipeline.finished(how);
    if (slot == nullptr) return false;
    if (how.is_ok()) {
      CHECK(is_right(*slot, ended.size()));
    }
    ended.push_back(how);
    pipeline.release(*slot);
    return true;
  }

  void take_all() {
    while (pipeline.in_flight() > 0) {
      if (!take()) std::this_thread::yield();
    }
  }

  void run(std::size_t batches) {
    const std::size_t until = launched + batches;
    while (launched < until) {
      if (!launch() && !take()) std::this_thread::yield();
    }
    take_all();
  }

  Pipeline& pipeline;
  std::size_t launched = 0;
  std::vector<Status> ended;
};

Nanoseconds time_of(std::size_t batches, std::size_t slots, Nanoseconds copy_ns,
                    Nanoseconds compute_ns) {
  SimulatedDevice device({.copy_ns = copy_ns});
  Doubling doubling(compute_ns);
  const auto pipeline = made(device, doubling, slots);
  Driver driver(*pipeline);
  driver.run(batches);
  CHECK_EQ(driver.ended.size(), batches);
  CHECK(std::ranges::all_of(driver.ended, [](const Status& how) { return how.is_ok(); }));
  return device.host_ns();
}

// Orders one of the faults that there are, or none.
void disturb(SimulatedDevice& device, std::mt19937& random) {
  switch (random() % 64) {
    case 0:
      device.refuse(SimulatedCall::kCopy, resource_exhausted("refused"), random() % 4);
      break;
    case 1:
      device.refuse(SimulatedCall::kLaunch, internal_error("refused"), random() % 4);
      break;
    case 2:
      device.lose_after(random() % 12, "lost");
      break;
    case 3:
      device.lose("lost at once");
      break;
    default:
      break;
  }
}

}  // namespace

TEST(stages_overlap_whichever_is_the_slowest) {
  constexpr std::size_t kBatches = 200;
  struct Stages {
    Nanoseconds copy_ns;
    Nanoseconds compute_ns;
  };
  for (const auto& [copy_ns, compute_ns] :
       {Stages{kCopyNs, kComputeNs}, Stages{5'000, 2'000}, Stages{3'000, 3'000}}) {
    const Nanoseconds slowest = std::max(copy_ns, compute_ns);
    const Nanoseconds fill_ns = 2 * copy_ns + compute_ns - slowest;
    const auto ideal = static_cast<double>(slowest * static_cast<Nanoseconds>(kBatches) + fill_ns);
    const auto took = static_cast<double>(time_of(kBatches, 4, copy_ns, compute_ns));
    CHECK(took >= ideal);
    CHECK(took <= 1.1 * ideal);
  }
}

TEST(one_slot_overlaps_nothing) {
  CHECK_EQ(time_of(20, 1, kCopyNs, kComputeNs), 20 * (2 * kCopyNs + kComputeNs));
}

TEST(nothing_is_allocated_between_create_and_the_end) {
  SimulatedDevice device;
  Doubling doubling(kComputeNs);
  {
    const auto pipeline = made(device, doubling, 3);
    const std::uint64_t allocations = device.allocations();
    Driver driver(*pipeline);
    driver.run(100);
    CHECK_EQ(device.allocations(), allocations);
  }
  CHECK_EQ(device.blocks(), 0U);
}

TEST(no_more_is_in_flight_than_there_are_slots) {
  SimulatedDevice device;
  Doubling doubling(kComputeNs);
  const auto pipeline = made(device, doubling, 2);
  Driver driver(*pipeline);
  CHECK(driver.launch());
  CHECK(driver.launch());
  CHECK(!driver.launch());
  CHECK_EQ(pipeline->in_flight(), 2U);
  driver.take_all();
  CHECK(driver.launch(1));
  driver.take_all();
  CHECK_EQ(driver.ended.size(), 3U);
}

TEST(a_pipeline_without_memory_is_refused_and_keeps_none) {
  SimulatedDevice device({.memory_bytes = 1024});
  Doubling doubling(kComputeNs);
  const auto refused = Pipeline::create(device, doubling,
                                        {.input_row_bytes = {kRowBytes},
                                         .output_row_bytes = {kRowBytes},
                                         .max_rows = 100,
                                         .slots = 3});
  REQUIRE(!refused.is_ok());
  CHECK_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  CHECK_EQ(device.blocks(), 0U);
}

TEST(what_is_refused_fails_its_batch_only) {
  for (const SimulatedCall call : {SimulatedCall::kCopy, SimulatedCall::kLaunch}) {
    for (const std::uint64_t after : {0U, 1U, 2U}) {
      SimulatedDevice device;
      Doubling doubling(kComputeNs);
      const auto pipeline = made(device, doubling, 3);
      Driver driver(*pipeline);
      device.refuse(call, resource_exhausted("no memory for that"), after);
      driver.run(20);
      CHECK_EQ(driver.ended.size(), 20U);
      const auto failed =
          std::ranges::count_if(driver.ended, [](const Status& how) { return !how.is_ok(); });
      CHECK_EQ(failed, 1);
      CHECK(!pipeline->is_lost());
    }
  }
}

TEST(a_computation_that_refuses_fails_its_batch_only) {
  SimulatedDevice device;
  Doubling doubling(kComputeNs);
  const auto pipeline = made(device, doubling, 3);
  Driver driver(*pipeline);
  driver.run(3);
  doubling.refusal = internal_error("the graph does not take that");
  driver.run(3);
  CHECK_EQ(driver.ended[3].message(), std::string("the graph does not take that"));
  CHECK(driver.ended[4].is_ok());
  CHECK(driver.ended[5].is_ok());
}

TEST(a_lost_device_ends_everything_in_flight_once_and_comes_back) {
  SimulatedDevice device;
  Doubling doubling(kComputeNs);
  const auto pipeline = made(device, doubling, 3);
  Driver driver(*pipeline);
  for (int round = 0; round < 5; ++round) {
    const std::size_t before = driver.ended.size();
    driver.run(4);
    device.lose_after(static_cast<std::uint64_t>(round), "an illegal address");
    driver.run(6);
    CHECK(pipeline->is_lost());
    CHECK_EQ(driver.ended.size(), before + 10);
    CHECK(driver.ended[before + 3].is_ok());
    CHECK_EQ(driver.ended.back().code(), StatusCode::kUnavailable);
    CHECK(driver.ended.back().message().find("an illegal address") != std::string::npos);
    REQUIRE(pipeline->recover().is_ok());
    CHECK_EQ(doubling.rebuilds, round + 1);
    driver.run(3);
    CHECK(driver.ended.back().is_ok());
  }
  CHECK_EQ(driver.ended.size(), driver.launched);
}

TEST(a_device_that_does_not_come_back_is_tried_again) {
  SimulatedDevice device;
  Doubling doubling(kComputeNs);
  const auto pipeline = made(device, doubling, 2);
  Driver driver(*pipeline);
  device.fail_recovery(2);
  device.lose("it fell off the bus");
  driver.run(2);
  CHECK(!pipeline->recover().is_ok());
  driver.run(2);
  CHECK(!pipeline->recover().is_ok());
  CHECK(pipeline->recover().is_ok());
  driver.run(2);
  CHECK_EQ(driver.ended.size(), 6U);
  CHECK(!driver.ended[3].is_ok());
  CHECK(driver.ended[4].is_ok());
}

TEST(every_launch_ends_once_under_random_faults) {
  std::mt19937 random(20261129);
  for (int round = 0; round < 30; ++round) {
    SimulatedDevice device;
    Doubling doubling(kComputeNs);
    const auto pipeline = made(device, doubling, 1 + random() % 4);
    Driver driver(*pipeline);
    while (driver.launched < 200) {
      if (driver.launch(1 + random() % kMaxRows)) {
        disturb(device, random);
      } else if (!driver.take()) {
        std::this_thread::yield();
      }
      if (pipeline->is_lost()) {
        driver.take_all();
        REQUIRE(pipeline->recover().is_ok());
      }
    }
    driver.take_all();
    CHECK_EQ(driver.ended.size(), driver.launched);
    const auto answered =
        std::ranges::count_if(driver.ended, [](const Status& how) { return how.is_ok(); });
    CHECK(answered > 100);
    CHECK(answered < 200);
  }
}
