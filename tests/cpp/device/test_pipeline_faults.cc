// The pipeline on the simulated device: refusals, and a lost device.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "device/pipeline_driver.h"
#include "harness.h"

using namespace slipstream;
using namespace slipstream::device;

namespace {

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

TEST(a_batch_without_memory_is_refused_and_others_are_not) {
  const auto device = std::make_shared<SimulatedDevice>(SimulatedOptions{.memory_bytes = 2048});
  Doubling doubling(*device, kComputeNs);
  const auto pipeline = made(device, doubling, 1);
  Driver driver(*pipeline);
  driver.run(1);
  driver.launch(100);
  driver.take_all();
  driver.run(2);
  REQUIRE(driver.ended.size() == 4);
  CHECK(driver.ended[0].is_ok());
  CHECK_EQ(driver.ended[1].code(), StatusCode::kResourceExhausted);
  CHECK(driver.ended[2].is_ok());
  CHECK(driver.ended[3].is_ok());
}

TEST(what_is_refused_fails_its_batch_only) {
  for (const SimulatedCall call : {SimulatedCall::kCopy, SimulatedCall::kLaunch}) {
    for (const std::uint64_t after : {0U, 1U, 2U}) {
      const auto device = std::make_shared<SimulatedDevice>();
      Doubling doubling(*device, kComputeNs);
      const auto pipeline = made(device, doubling, 3);
      Driver driver(*pipeline);
      device->refuse(call, resource_exhausted("no memory for that"), after);
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
  const auto device = std::make_shared<SimulatedDevice>();
  Doubling doubling(*device, kComputeNs);
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
  const auto device = std::make_shared<SimulatedDevice>();
  Doubling doubling(*device, kComputeNs);
  const auto pipeline = made(device, doubling, 3);
  Driver driver(*pipeline);
  for (int round = 0; round < 5; ++round) {
    const std::size_t before = driver.ended.size();
    driver.run(4);
    device->lose_after(static_cast<std::uint64_t>(round), "an illegal address");
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
  CHECK_EQ(driver.ended.size(), driver.batches.size());
}

TEST(a_device_that_does_not_come_back_is_tried_again) {
  const auto device = std::make_shared<SimulatedDevice>();
  Doubling doubling(*device, kComputeNs);
  const auto pipeline = made(device, doubling, 2);
  Driver driver(*pipeline);
  device->fail_recovery(2);
  device->lose("it fell off the bus");
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
    const auto device = std::make_shared<SimulatedDevice>();
    Doubling doubling(*device, kComputeNs);
    const auto pipeline = made(device, doubling, 1 + random() % 4);
    Driver driver(*pipeline);
    while (driver.batches.size() < 200) {
      if (driver.launch(1 + random() % kMaxRows)) {
        disturb(*device, random);
      } else if (!driver.take()) {
        std::this_thread::yield();
      }
      if (pipeline->is_lost()) {
        driver.take_all();
        REQUIRE(pipeline->recover().is_ok());
      }
    }
    driver.take_all();
    CHECK_EQ(driver.ended.size(), driver.batches.size());
    const auto answered =
        std::ranges::count_if(driver.ended, [](const Status& how) { return how.is_ok(); });
    CHECK(answered > 100);
    CHECK(answered < 200);
  }
}
