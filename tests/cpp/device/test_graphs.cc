// Computations that are recorded and launched as graphs: the same answers, by fewer calls.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "device/graphed_computation.h"
#include "doubling.h"
#include "harness.h"

using namespace slipstream;
using namespace slipstream::device;

namespace {

constexpr std::int64_t kWidth = 8;

// A pipeline of recorded doublings, and what its device is asked for.
struct Fixture {
  std::shared_ptr<SimulatedDevice> device = std::make_shared<SimulatedDevice>();
  Doubling* doubling = nullptr;
  std::unique_ptr<GraphedComputation> graphed;
  std::unique_ptr<Pipeline> pipeline;
  std::size_t batches = 0;

  explicit Fixture(GraphOptions options = {}, std::size_t slots = 1) {
    auto inner = std::make_unique<Doubling>(*device, 1'000);
    doubling = inner.get();
    graphed = std::make_unique<GraphedComputation>(std::move(inner), options);
    auto made = Pipeline::create(device, *graphed, doubling_spec(), {.slots = slots});
    REQUIRE(made.is_ok());
    pipeline = std::move(made).value();
  }

  Status run(std::int64_t rows) {
    const std::size_t batch = batches++;
    const std::vector<Tensor> inputs{doubling_rows(batch, rows, kWidth)};
    const Piece piece{.inputs = inputs, .begin_row = 0, .end_row = rows};
    pipeline->launch({.pieces = {&piece, 1}, .rows = rows});
    Status how;
    std::vector<Tensor> outputs;
    while (!pipeline->finished(how, outputs)) std::this_thread::yield();
    if (how.is_ok()) {
      CHECK(is_right(outputs.at(0), batch, rows, kWidth));
    }
    return how;
  }
};

}  // namespace

TEST(the_second_batch_of_a_size_is_a_graph) {
  Fixture fixture;
  for (int i = 0; i < 5; ++i) CHECK(fixture.run(4).is_ok());
  CHECK_EQ(fixture.graphed->graphs(), 1U);
  CHECK_EQ(fixture.doubling->enqueued, 2);  // once done, once recorded
}

TEST(sizes_that_are_near_share_a_graph) {
  Fixture fixture;
  CHECK(fixture.run(64).is_ok());  // all memory has grown
  for (std::int64_t rows = 64; rows >= 33; --rows) CHECK(fixture.run(rows).is_ok());
  CHECK_EQ(fixture.graphed->graphs(), 4U);  // 40, 48, 56 and 64
  for (std::int64_t rows = 1; rows <= 64; ++rows) {
    const std::int64_t padded = fixture.graphed->padded_rows(rows);
    CHECK(padded >= rows);
    CHECK(4 * padded < 5 * rows + 4);
    CHECK_EQ(fixture.graphed->padded_rows(padded), padded);
  }
}

TEST(batches_above_the_largest_size_are_computed_as_they_are) {
  Fixture fixture({.max_rows = 18});
  CHECK_EQ(fixture.graphed->padded_rows(9), 10);
  CHECK_EQ(fixture.graphed->padded_rows(17), 18);
  CHECK_EQ(fixture.graphed->padded_rows(19), 19);
  CHECK(fixture.run(19).is_ok());
  CHECK_EQ(fixture.graphed->graphs(), 0U);
  CHECK(fixture.run(17).is_ok());
  CHECK_EQ(fixture.graphed->graphs(), 1U);
}

TEST(every_slot_has_graphs_of_its_own) {
  Fixture fixture({}, 3);
  const std::vector<Tensor> inputs{doubling_rows(1, 2, kWidth)};
  const Piece piece{.inputs = inputs, .begin_row = 0, .end_row = 2};
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 3; ++i) fixture.pipeline->launch({.pieces = {&piece, 1}, .rows = 2});
    for (int i = 0; i < 3;) {
      Status how;
      std::vector<Tensor> outputs;
      if (!fixture.pipeline->finished(how, outputs)) continue;
      CHECK(how.is_ok());
      CHECK(is_right(outputs.at(0), 1, 2, kWidth));
      ++i;
    }
  }
  CHECK_EQ(fixture.graphed->graphs(), 3U);
}

TEST(graphs_of_memory_that_moved_are_dropped) {
  Fixture fixture;
  CHECK(fixture.run(1).is_ok());
  CHECK(fixture.run(64).is_ok());
  CHECK_EQ(fixture.graphed->graphs(), 1U);
  CHECK(fixture.run(1).is_ok());
  CHECK_EQ(fixture.graphed->graphs(), 2U);
}

TEST(the_graph_that_was_not_used_for_longest_makes_room) {
  Fixture fixture({.max_graphs = 2});
  for (const std::int64_t rows : {8, 4, 8, 2, 8}) CHECK(fixture.run(rows).is_ok());
  CHECK_EQ(fixture.graphed->graphs(), 2U);
  const int before = fixture.doubling->enqueued;
  CHECK(fixture.run(8).is_ok());
  CHECK_EQ(fixture.doubling->enqueued, before);
  CHECK(fixture.run(4).is_ok());
  CHECK_EQ(fixture.doubling->enqueued, before + 2);
}

TEST(what_cannot_be_recorded_is_computed_as_it_is) {
  Fixture fixture;
  for (int attempt = 0; attempt < 3; ++attempt) {
    CHECK(fixture.graphed->gave_up().is_ok());
    fixture.device->refuse(SimulatedCall::kCapture, failed_precondition("it synchronizes"));
    CHECK(fixture.run(3).is_ok());
  }
  CHECK(!fixture.graphed->gave_up().is_ok());
  const int before = fixture.doubling->enqueued;
  CHECK(fixture.run(3).is_ok());
  CHECK_EQ(fixture.doubling->enqueued, before + 1);
  CHECK_EQ(fixture.graphed->padded_rows(11), 11);
}

TEST(a_graph_that_is_refused_fails_its_batch_only) {
  Fixture fixture;
  CHECK(fixture.run(2).is_ok());
  fixture.device->refuse(SimulatedCall::kGraph, resource_exhausted("no memory for that"));
  CHECK_EQ(fixture.run(2).code(), StatusCode::kResourceExhausted);
  CHECK(fixture.run(2).is_ok());
}

TEST(after_a_lost_device_everything_is_recorded_anew) {
  Fixture fixture;
  CHECK(fixture.run(2).is_ok());
  fixture.device->lose("an illegal address");
  CHECK_EQ(fixture.run(2).code(), StatusCode::kUnavailable);
  REQUIRE(fixture.pipeline->recover().is_ok());
  CHECK_EQ(fixture.graphed->graphs(), 0U);
  CHECK(fixture.run(2).is_ok());
  CHECK(fixture.run(2).is_ok());
  CHECK_EQ(fixture.graphed->graphs(), 1U);
}
