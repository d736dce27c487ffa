// How the batcher forms batches: whose turn it is, who joins, what is split and what is put off; in
// single cases, and in random scenarios against a plain model of the same rules.
#include "core/batch/batcher.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "deterministic_schedule.h"
#include "harness.h"
#include "plain_batcher.h"
#include "recording_sink.h"

namespace slipstream {
namespace {

using testing::Parts;
using testing::PlainBatcher;
using testing::RecordingSink;
using testing::Wish;

struct Fixture {
  RequestPool pool{512};
  LatencyModel latency;
  RelaxedCounter abandoned;
  std::shared_ptr<RecordingSink> sink = std::make_shared<RecordingSink>();
  BatcherConfig config;
  Batcher batcher;
  std::map<std::uint64_t, Ticket> tickets;

  explicit Fixture(std::int64_t max_batch_rows = 8, bool batchable = true)
      : config{.max_batch_rows = max_batch_rows,
               .batchable = batchable,
               .queue_capacity = 256,
               .policy = {.ageing_step_ns = 1000}},
        batcher(pool, config, latency, abandoned) {}

  bool push(const Wish& wish) {
    Request* const request = pool.acquire();
    request->inputs.push_back(Tensor::allocate(DType::kFloat32, {wish.rows, wish.width}));
    request->options.priority = wish.priority;
    request->options.max_batch_rows = wish.row_limit;
    request->options.deadline_ns = wish.deadline_ns;
    request->sink = sink;
    request->tag = wish.tag;
    request->rows = wish.rows;
    request->shape_key = static_cast<std::uint64_t>(wish.width % 2);  // hashes may collide
    request->accepted_ns = wish.accepted_ns;
    if (wish.rows > batcher.row_limit(request->options)) {
      request->split = std::make_unique<SplitParts>();
    }
    tickets[wish.tag] = pool.open(*request);
    if (batcher.try_push(*request)) return true;
    pool.release(*request);
    return false;
  }

  bool cancel(std::uint64_t tag) {
    return pool.complete_early(tickets.at(tag), {StatusCode::kCancelled, ""});
  }

  // The next batch, after which its requests are let go as an executor would.
  Parts form(Nanoseconds now = 1) {
    Batch batch;
    Parts parts;
    std::int64_t rows = 0;
    if (!batcher.form(batch, now)) return parts;
    for (const BatchPart& part : batch.parts) {
      parts.emplace_back(part.request->tag, part.begin_row, part.end_row);
      rows += part.rows();
      if (part.end_row == part.request->rows) (void)part.request->lifecycle.claim();
      pool.release(*part.request);
    }
    CHECK_EQ(batch.rows, rows);
    return parts;
  }

  std::size_t free_slots() {
    std::vector<Request*> slots;
    while (Request* const slot = pool.acquire()) slots.push_back(slot);
    for (Request* const slot : slots) {
      (void)pool.open(*slot);
      pool.release(*slot);
    }
    return slots.size();
  }
};

TEST(nothing_waiting_forms_nothing) {
  Fixture fixture;
  CHECK(fixture.form().empty());
  CHECK(fixture.batcher.is_drained());
}

TEST(requests_join_up_to_the_maximum) {
  Fixture fixture;
  for (std::uint64_t tag = 1; tag <= 10; ++tag) REQUIRE(fixture.push({.tag = tag}));
  CHECK_EQ(fixture.batcher.approx_size(), 10U);
  CHECK_EQ(fixture.form().size(), 8U);
  CHECK((fixture.form() == Parts{{9, 0, 1}, {10, 0, 1}}));
  CHECK(fixture.batcher.is_drained());
}

TEST(higher_lanes_come_first_and_age_decides_in_the_end) {
  Fixture fixture(1);
  REQUIRE(fixture.push({.tag = 1, .priority = kLowPriority, .accepted_ns = 1}));
  REQUIRE(fixture.push({.tag = 2, .accepted_ns = 1}));
  REQUIRE(fixture.push({.tag = 3, .priority = kUrgentPriority, .accepted_ns = 1}));
  CHECK((fixture.form(1) == Parts{{3, 0, 1}}));
  REQUIRE(fixture.push({.tag = 4, .priority = kUrgentPriority, .accepted_ns = 20'000}));
  CHECK((fixture.form(20'000) == Parts{{2, 0, 1}}));  // it has waited for 20 levels
  CHECK((fixture.form(20'000) == Parts{{1, 0, 1}}));
  CHECK((fixture.form(20'000) == Parts{{4, 0, 1}}));
}

TEST(a_full_lane_refuses) {
  Fixture fixture;
  std::uint64_t tag = 0;
  while (fixture.push({.tag = tag})) ++tag;
  CHECK_EQ(tag, 256U);
  CHECK(fixture.push({.tag = 999, .priority = kHighPriority}));
  CHECK_EQ(fixture.batcher.approx_rows_ahead(kHighPriority), 1);
  CHECK_EQ(fixture.batcher.approx_rows_ahead(kLowPriority), 257);
}

TEST(another_shape_waits_and_is_first_in_the_next_batch) {
  Fixture fixture;
  REQUIRE(fixture.push({.tag = 1, .width = 1}));
  REQUIRE(fixture.push({.tag = 2, .width = 3}));  // hashes as 1 does, and yet is another
  REQUIRE(fixture.push({.tag = 3, .width = 1}));
  CHECK((fixture.form() == Parts{{1, 0, 1}, {3, 0, 1}}));
  CHECK_EQ(fixture.batcher.approx_size(), 1U);
  REQUIRE(fixture.push({.tag = 4, .width = 1}));
  CHECK((fixture.form() == Parts{{2, 0, 1}}));
  CHECK((fixture.form() == Parts{{4, 0, 1}}));
}

TEST(looking_ahead_is_bounded) {
  Fixture fixture;
  REQUIRE(fixture.push({.tag = 1, .width = 1}));
  for (std::uint64_t tag = 2; tag < 102; ++tag) REQUIRE(fixture.push({.tag = tag, .width = 2}));
  REQUIRE(fixture.push({.tag = 500, .width = 1}));  // behind more than is looked at
  CHECK((fixture.form() == Parts{{1, 0, 1}}));
  std::size_t rows = 0;
  std::size_t batches = 0;
  for (Parts parts = fixture.form(); !parts.empty(); parts = fixture.form()) {
    rows += parts.size();
    ++batches;
  }
  CHECK_EQ(rows, 101U);
  CHECK_EQ(batches, 14U);  // 100 rows of width 2 in 13 batches of at most 8, and request 500
}

TEST(the_smallest_limit_in_the_batch_holds) {
  Fixture fixture;
  REQUIRE(fixture.push({.tag = 1}));
  REQUIRE(fixture.push({.tag = 2, .row_limit = 3}));
  for (std::uint64_t tag = 3; tag < 7; ++tag) REQUIRE(fixture.push({.tag = tag}));
  CHECK((fixture.form() == Parts{{1, 0, 1}, {2, 0, 1}, {3, 0, 1}}));
  CHECK((fixture.form() == Parts{{4, 0, 1}, {5, 0, 1}, {6, 0, 1}}));
}

TEST(what_does_not_fit_waits_whole_and_smaller_ones_pass) {
  Fixture fixture;
  REQUIRE(fixture.push({.tag = 1, .rows = 5}));
  REQUIRE(fixture.push({.tag = 2, .rows = 4}));
  REQUIRE(fixture.push({.tag = 3, .rows = 3}));
  CHECK((fixture.form() == Parts{{1, 0, 5}, {3, 0, 3}}));
  CHECK((fixture.form() == Parts{{2, 0, 4}}));
}

TEST(a_large_request_is_split_and_its_rest_takes_company) {
  Fixture fixture;
  REQUIRE(fixture.push({.tag = 1, .rows = 2}));
  REQUIRE(fixture.push({.tag = 2, .rows = 20}));
  REQUIRE(fixture.push({.tag = 3, .rows = 2}));
  CHECK((fixture.form() == Parts{{1, 0, 2}, {2, 0, 6}}));
  CHECK((fixture.form() == Parts{{2, 6, 14}}));
  CHECK((fixture.form() == Parts{{2, 14, 20}, {3, 0, 2}}));
  CHECK(fixture.batcher.is_drained());
  CHECK_EQ(fixture.free_slots(), 512U);
}

TEST(the_rest_of_a_split_request_keeps_its_place_by_deadline) {
  constexpr Nanoseconds kSoon = 400'000'000;
  constexpr Nanoseconds kLater = 800'000'000;
  Fixture fixture;
  REQUIRE(fixture.push({.tag = 1, .rows = 8, .accepted_ns = 1, .deadline_ns = kLater}));
  REQUIRE(fixture.push({.tag = 2, .rows = 8, .accepted_ns = 2, .deadline_ns = kSoon}));
  REQUIRE(fixture.push({.tag = 3, .rows = 8, .accepted_ns = 3, .deadline_ns = kLater}));
  REQUIRE(fixture.push({.tag = 4, .rows = 20, .accepted_ns = 4, .deadline_ns = kSoon}));
  CHECK((fixture.form() == Parts{{1, 0, 8}}));
  CHECK((fixture.form() == Parts{{2, 0, 8}}));  // from here on the lane goes by deadline
  CHECK((fixture.form() == Parts{{4, 0, 8}}));
  CHECK((fixture.form() == Parts{{4, 8, 16}}));
  CHECK((fixture.form() == Parts{{4, 16, 20}}));
  CHECK((fixture.form() == Parts{{3, 0, 8}}));
}

TEST(its_own_limit_splits_a_request) {
  Fixture fixture;
  REQUIRE(fixture.push({.tag = 1, .rows = 5, .row_limit = 2}));
  CHECK((fixture.form() == Parts{{1, 0, 2}}));
  CHECK((fixture.form() == Parts{{1, 2, 4}}));
  CHECK((fixture.form() == Parts{{1, 4, 5}}));
}

TEST(answered_requests_are_dropped_wherever_they_wait) {
  Fixture fixture;
  REQUIRE(fixture.push({.tag = 1, .width = 1}));
  REQUIRE(fixture.push({.tag = 2, .width = 2}));
  REQUIRE(fixture.push({.tag = 3, .rows = 20, .width = 1}));
  REQUIRE(fixture.push({.tag = 4, .width = 1}));
  REQUIRE(fixture.cancel(4));  // in its lane
  CHECK((fixture.form() == Parts{{1, 0, 1}, {3, 0, 7}}));
  REQUIRE(fixture.cancel(2));  // put off
  REQUIRE(fixture.cancel(3));  // half executed
  CHECK(fixture.form().empty());
  CHECK(fixture.batcher.is_drained());
  CHECK_EQ(fixture.abandoned.value(), 3U);
  CHECK_EQ(fixture.free_slots(), 512U);
}

TEST(an_unbatchable_model_gets_one_request_at_a_time) {
  Fixture fixture(8, /*batchable=*/false);
  REQUIRE(fixture.push({.tag = 1}));
  REQUIRE(fixture.push({.tag = 2}));
  CHECK((fixture.form() == Parts{{1, 0, 1}}));
  CHECK((fixture.form() == Parts{{2, 0, 1}}));
}

TEST(after_batching_stopped_what_waits_runs_whole) {
  Fixture fixture;
  REQUIRE(fixture.push({.tag = 1, .rows = 20}));
  REQUIRE(fixture.push({.tag = 2}));
  CHECK((fixture.form() == Parts{{1, 0, 8}}));
  fixture.batcher.stop_batching();
  CHECK((fixture.form() == Parts{{1, 8, 20}}));
  CHECK((fixture.form() == Parts{{2, 0, 1}}));
}

std::string text_of(const Parts& parts) {
  std::string text;
  for (const auto& [tag, begin, end] : parts) {
    text += std::to_string(tag) + '[' + std::to_string(begin) + ',' + std::to_string(end) + ") ";
  }
  return text;
}

// One random scenario; empty when the batcher did what the plain model does, at every step.
std::string run_scenario(std::uint64_t seed) {
  schedule::SeededRandom random(seed);
  Fixture fixture(1 + static_cast<std::int64_t>(random.below(12)));
  PlainBatcher model(fixture.config.max_batch_rows, fixture.config.policy);
  Nanoseconds now = 1;
  std::uint64_t tag = 0;
  std::uint64_t cancelled = 0;
  const std::size_t widths = 1 + random.below(4);
  const auto step = [&]() -> std::string {
    const Parts expected = model.form(now);
    const Parts actual = fixture.form(now);
    if (actual == expected) return "";
    return "step " + std::to_string(tag) + ": " + text_of(actual) + "instead of " +
           text_of(expected);
  };
  for (int i = 0; i < 120; ++i) {
    now += static_cast<Nanoseconds>(random.below(400));
    const std::size_t what = random.below(10);
    if (what < 6) {
      const Wish wish{
          .tag = ++tag,
          .rows = 1 + static_cast<std::int64_t>(random.below(random.one_in(5) ? 40 : 5)),
          .priority = static_cast<int>(random.below(kLaneCount)) + kLowPriority,
          .width = 1 + static_cast<std::int64_t>(random.below(widths)),
          .row_limit = static_cast<std::int64_t>(random.one_in(4) ? random.below(6) : 0),
          .accepted_ns = now};
      if (!fixture.push(wish)) return "a push was refused";
      model.push(wish);
    } else if (what < 7) {
      const std::vector<std::uint64_t> waiting = model.waiting();
      if (waiting.empty()) continue;
      const std::uint64_t victim = waiting[random.below(waiting.size())];
      if (!fixture.cancel(victim)) return "a waiting request could not be cancelled";
      model.cancel(victim);
      ++cancelled;
    } else if (const std::string complaint = step(); !complaint.empty()) {
      return complaint;
    }
  }
  while (!model.waiting().empty()) {
    if (const std::string complaint = step(); !complaint.empty()) return complaint;
  }
  if (const std::string complaint = step(); !complaint.empty()) return complaint;
  if (!fixture.batcher.is_drained()) return "something is left";
  if (fixture.abandoned.value() != cancelled) return "cancelled requests are miscounted";
  return fixture.free_slots() == 512 ? "" : "slots were lost";
}

TEST(random_scenarios_form_what_the_plain_model_forms) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const std::string complaint = run_scenario(seed);
    if (!complaint.empty()) CHECK_EQ("seed " + std::to_string(seed) + ": " + complaint, "");
  }
}

}  // namespace
}  // namespace slipstream
