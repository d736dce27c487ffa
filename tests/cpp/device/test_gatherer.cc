// Gathering rows on their way to a device: all bytes, in order, whoever gathers them and wherever
// they lie.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "device/gatherer.h"
#include "device/simulated_device.h"
#include "harness.h"

using namespace slipstream;
using namespace slipstream::device;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20U;

struct Added {
  std::vector<std::byte> bytes;
  bool is_direct;
};

std::vector<std::byte> random_bytes(std::size_t count, std::mt19937& random) {
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// What lies on the device once all of it was added and copied.
std::vector<std::byte> gathered(SimulatedDevice& device, HelperPool::Crew crew,
                                const std::vector<Added>& all) {
  std::size_t bytes = 0;
  for (const Added& each : all) bytes += each.bytes.size();
  const auto host = device.allocate_pinned(bytes);
  const auto there = device.allocate(bytes);
  const auto stream = device.create_stream();
  REQUIRE(host.is_ok() && there.is_ok() && stream.is_ok());
  std::vector<Gatherer::Part> parts;
  bool has_sent = false;
  auto* const address = static_cast<std::byte*>(there.value()->address());
  Gatherer gatherer(static_cast<std::byte*>(host.value()->address()), address, *stream.value(),
                    std::move(crew), parts, has_sent);
  for (const Added& each : all) {
    const Status status = each.is_direct ? gatherer.add_direct(each.bytes.data(), each.bytes.size())
                                         : gatherer.add(each.bytes.data(), each.bytes.size());
    REQUIRE(status.is_ok());
  }
  REQUIRE(gatherer.flush().is_ok());
  CHECK_EQ(has_sent, bytes > 0);
  device.drain();
  return {address, address + bytes};
}

}  // namespace

TEST(all_bytes_arrive_in_order_whoever_gathers) {
  static auto& pool = *new HelperPool(3);  // as long as the process, as its helpers
  std::mt19937 random(7);
  for (const std::size_t helpers : {0U, 1U, 3U}) {
    for (int round = 0; round < 8; ++round) {
      const auto device = std::make_shared<SimulatedDevice>();
      std::vector<Added> all;
      std::vector<std::byte> want;
      for (std::size_t i = 0; i < 12; ++i) {
        const std::size_t most = random() % 3 == 0 ? 3 * kMiB : 5'000;
        all.push_back(
            {.bytes = random_bytes(random() % most, random), .is_direct = random() % 4 == 0});
        want.insert(want.end(), all.back().bytes.begin(), all.back().bytes.end());
      }
      CHECK(gathered(*device, pool.hire(helpers), all) == want);
    }
  }
}

TEST(one_alone_sends_a_piece_at_a_time_and_helpers_larger_ones) {
  static auto& pool = *new HelperPool(3);
  std::mt19937 random(8);
  const std::vector<Added> all{{.bytes = random_bytes(8 * kMiB, random), .is_direct = false}};
  for (const auto& [helpers, copies] : {std::pair{0U, 8}, std::pair{1U, 4}, std::pair{3U, 2}}) {
    const auto device = std::make_shared<SimulatedDevice>();
    CHECK(gathered(*device, pool.hire(helpers), all) == all[0].bytes);
    CHECK_EQ(device->busy_ns(SimulatedEngine::kCopyIn), copies * SimulatedOptions{}.copy_ns);
  }
}

TEST(helpers_are_for_much) {
  CHECK_EQ(Gatherer::helpers_worth(0), 0U);
  CHECK_EQ(Gatherer::helpers_worth(4 * kMiB - 1), 0U);
  CHECK_EQ(Gatherer::helpers_worth(4 * kMiB), 1U);
  CHECK_EQ(Gatherer::helpers_worth(8 * kMiB), 3U);
  CHECK_EQ(Gatherer::helpers_worth(std::size_t{1} << 40U), 5U);
}
