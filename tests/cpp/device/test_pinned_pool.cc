// The pool of page-locked memory: what is given back is kept, within a bound, until it is closed.
#include <cstddef>
#include <memory>
#include <vector>

#include "device/pinned_pool.h"
#include "device/simulated_device.h"
#include "harness.h"

using namespace slipstream;
using namespace slipstream::device;

namespace {

struct Fixture {
  std::shared_ptr<SimulatedDevice> device = std::make_shared<SimulatedDevice>();
  std::shared_ptr<PinnedPool> pool = PinnedPool::create(device, 8192);
};

}  // namespace

TEST(what_is_given_back_is_taken_again) {
  Fixture fixture;
  const void* const first = fixture.pool->take(1000).get();
  CHECK_EQ(fixture.pool->take(1024).get(), first);
  CHECK_EQ(fixture.device->allocations(), 1U);
}

TEST(no_more_is_locked_than_the_limit) {
  Fixture fixture;
  std::vector<std::shared_ptr<void>> out;
  while (std::shared_ptr<void> block = fixture.pool->take(2048)) out.push_back(std::move(block));
  CHECK_EQ(out.size(), 4U);
  CHECK_EQ(fixture.pool->locked_bytes(), 8192U);
  CHECK(fixture.pool->take(8193) == nullptr);
  out.pop_back();
  CHECK(fixture.pool->take(2048) != nullptr);
}

TEST(unused_blocks_of_other_sizes_make_room) {
  Fixture fixture;
  fixture.pool->reserve(2048, 4);
  CHECK_EQ(fixture.pool->locked_bytes(), 8192U);
  CHECK(fixture.pool->take(8192) != nullptr);
  CHECK_EQ(fixture.device->blocks(), 1U);
}

TEST(what_is_reserved_needs_no_allocation_later) {
  Fixture fixture;
  fixture.pool->reserve(2000, 3);
  const std::uint64_t allocations = fixture.device->allocations();
  const std::vector<std::shared_ptr<void>> out{fixture.pool->take(2000), fixture.pool->take(1900),
                                               fixture.pool->take(2048)};
  CHECK_EQ(fixture.device->allocations(), allocations);
}

TEST(what_is_reserved_adds_up_to_the_limit) {
  Fixture fixture;
  fixture.pool->reserve(1024, 2);
  fixture.pool->reserve(1024, 1);  // for something else of that size
  CHECK_EQ(fixture.pool->locked_bytes(), 3072U);
  fixture.pool->reserve(2048, 5);
  CHECK_EQ(fixture.pool->locked_bytes(), 7168U);
  fixture.pool->reserve(16384, 1);
  CHECK_EQ(fixture.device->blocks(), 5U);
}

TEST(a_closed_pool_keeps_nothing) {
  Fixture fixture;
  std::shared_ptr<void> answer = fixture.pool->take(1024);
  fixture.pool->reserve(2048, 2);
  fixture.pool->close();
  CHECK_EQ(fixture.device->blocks(), 1U);  // what somebody still has
  answer.reset();
  CHECK_EQ(fixture.device->blocks(), 0U);
  CHECK_EQ(fixture.pool->locked_bytes(), 0U);
}
