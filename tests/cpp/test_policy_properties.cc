// Properties that the policy and the batcher keep in random situations, on a clock of their own: no
// threads, and time passes when the test says so.
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/batch/batcher.h"
#include "deterministic_schedule.h"
#include "harness.h"
#include "recording_sink.h"

namespace slipstream {
namespace {

using schedule::SeededRandom;
using testing::RecordingSink;

constexpr std::uint64_t kShapeKey = 7;

// base + slope * rows, learned until nothing is left to learn.
void teach(LatencyModel& latency, Nanoseconds base, Nanoseconds slope) {
  for (int i = 0; i < 200; ++i) {
    for (std::int64_t rows = 1; rows <= 64; rows *= 2) {
      latency.observe(kShapeKey, rows, base + slope * rows);
    }
  }
}

struct Fixture {
  RequestPool pool{2048};
  LatencyModel latency;
  RelaxedCounter abandoned;
  std::shared_ptr<RecordingSink> sink = std::make_shared<RecordingSink>();
  BatcherConfig config;
  Batcher batcher;
  std::map<std::uint64_t, Request*> waiting;

  explicit Fixture(BatcherConfig given = {})
      : config(given), batcher(pool, config, latency, abandoned) {}

  bool push(std::uint64_t tag, std::int64_t rows, int priority, Nanoseconds deadline_ns,
            Nanoseconds now) {
    Request* const request = pool.acquire();
    if (request == nullptr) return false;
    request->options = {.priority = priority, .deadline_ns = deadline_ns};
    request->sink = sink;
    request->tag = tag;
    request->rows = rows;
    request->shape_key = kShapeKey;
    request->accepted_ns = now;
    (void)pool.open(*request);
    if (!batcher.try_push(*request)) {
      pool.release(*request);
      return false;
    }
    waiting[tag] = request;
    return true;
  }

  // Lets go of what was formed, as a worker would.
  void finish(Batch& batch) {
    for (Request* const late : batch.late) {
      waiting.erase(late->tag);
      (void)late->lifecycle.claim();
      pool.release(*late);
    }
    for (const BatchPart& part : batch.parts) {
      waiting.erase(part.request->tag);
      (void)part.request->lifecycle.claim();
      pool.release(*part.request);
    }
  }
};

// What must hold of any batch, with everything that waited before it was formed.
std::string complaint_about(const Fixture& fixture, const Batch& batch, Nanoseconds now,
                            std::int64_t rows_before) {
  const LatencyCurve& curve = fixture.latency.curve(kShapeKey);
  std::int64_t rows = 0;
  std::set<std::uint64_t> tags;
  Nanoseconds earliest = kNoDeadline;
  std::int64_t largest = 0;
  for (const BatchPart& part : batch.parts) {
    rows += part.rows();
    largest = std::max(largest, part.rows());
    earliest = std::min(earliest, part.request->options.deadline_ns);
    if (!tags.insert(part.request->tag).second) return "a request is in it twice";
  }
  for (const Request* const late : batch.late) {
    if (!tags.insert(late->tag).second) return "a late request runs";
    if (late->options.deadline_ns == kNoDeadline) return "late without a deadline";
  }
  if (rows != batch.rows) return "rows are miscounted";
  if (rows > fixture.config.max_batch_rows) return "more rows than an execution takes";
  // Company never makes a request late: a batch of several meets the earliest deadline.
  if (batch.parts.size() > 1 && earliest != kNoDeadline && now + curve.likely_ns(rows) > earliest) {
    return "company breaks a deadline";
  }
  // Nothing runs that is late already, unless there was nothing else.
  if (batch.parts.size() == 1 && rows < rows_before && batch.late.empty() &&
      earliest != kNoDeadline && now + curve.mean_ns(rows) > earliest) {
    return "a late request runs before others";
  }
  return "";
}

std::string run_scenario(std::uint64_t seed) {
  SeededRandom random(seed);
  BatcherConfig config;
  config.max_batch_rows = 1 + static_cast<std::int64_t>(random.below(64));
  config.instances = 1 + static_cast<std::int64_t>(random.below(3));
  Fixture fixture(config);
  const auto base = static_cast<Nanoseconds>(random.below(100'000));
  if (!random.one_in(8))
    teach(fixture.latency, base, 1 + static_cast<Nanoseconds>(random.below(5'000)));
  Nanoseconds now = 1'000'000;
  std::uint64_t tag = 0;
  std::uint64_t ended = 0;
  Batch batch;
  const auto form = [&]() -> std::string {
    const std::int64_t rows_before = fixture.batcher.approx_rows_ahead(kLowPriority);
    const std::size_t waited = fixture.waiting.size();
    const bool formed = fixture.batcher.form(batch, now);
    if (formed != (waited > 0)) return "idle with work, or work out of nothing";
    if (batch.parts.empty() && !fixture.batcher.approx_empty()) return "idle with work";
    const std::string complaint = complaint_about(fixture, batch, now, rows_before);
    ended += batch.parts.size() + batch.late.size();
    fixture.finish(batch);
    return complaint;
  };
  for (int i = 0; i < 200; ++i) {
    now += static_cast<Nanoseconds>(random.below(60'000));
    for (std::size_t arrivals = random.below(12); arrivals > 0; --arrivals) {
      const auto rows = 1 + static_cast<std::int64_t>(random.below(static_cast<std::size_t>(
                                std::min<std::int64_t>(config.max_batch_rows, 8))));
      const Nanoseconds deadline =
          random.one_in(4) ? kNoDeadline : now + static_cast<Nanoseconds>(random.below(2'000'000));
      const int priority = static_cast<int>(random.below(kLaneCount)) + kLowPriority;
      if (fixture.push(tag, rows, priority, deadline, now)) ++tag;
    }
    if (const std::string complaint = form(); !complaint.empty()) return complaint;
  }
  while (!fixture.waiting.empty()) {
    now += static_cast<Nanoseconds>(random.below(60'000));
    if (const std::string complaint = form(); !complaint.empty()) return complaint;
  }
  if (!fixture.batcher.is_drained()) return "rows are left";
  return ended == tag ? "" : "requests were lost";
}

TEST(random_situations_keep_every_property) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const std::string complaint = run_scenario(seed);
    if (!complaint.empty()) CHECK_EQ("seed " + std::to_string(seed) + ": " + complaint, "");
  }
}

TEST(whoever_waits_is_served_within_the_ageing_bound) {
  BatcherConfig config;
  config.max_batch_rows = 1;
  config.policy.ageing_step_ns = 1000;
  config.policy.patience_ns = 500;
  Fixture fixture(config);
  Nanoseconds now = 1;
  REQUIRE(fixture.push(0, 1, kLowPriority, kNoDeadline, now));
  std::uint64_t tag = 1;
  Batch batch;
  while (fixture.waiting.contains(0)) {
    now += 100;
    // Two urgent ones for each that runs, with deadlines in any order.
    const Nanoseconds deadline = now + 1'000'000 - static_cast<Nanoseconds>(tag % 7) * 60'000;
    for (int i = 0; i < 2; ++i) REQUIRE(fixture.push(tag++, 1, kUrgentPriority, deadline, now));
    REQUIRE(fixture.batcher.form(batch, now));
    fixture.finish(batch);
    REQUIRE(now < 1'000'000);
  }
  // Twelve levels, and what of the urgent ones had come in until then was older by one step.
  CHECK(now <= 24'000);
}

TEST(low_priority_stays_short_while_urgent_requests_arrive) {
  Fixture fixture;
  teach(fixture.latency, 8'000, 4'000);
  Batch batch;
  Nanoseconds now = 2'000'000'000;
  std::uint64_t tag = 0;
  const auto fill = [&] {
    while (fixture.waiting.size() < 100)
      REQUIRE(fixture.push(tag++, 1, kLowPriority, kNoDeadline, now));
  };
  fill();
  REQUIRE(fixture.batcher.form(batch, now));
  CHECK_EQ(batch.rows, 64);  // nobody is in a hurry
  fixture.finish(batch);
  fill();
  REQUIRE(fixture.push(tag++, 1, kUrgentPriority, kNoDeadline, now));
  REQUIRE(fixture.batcher.form(batch, now));
  CHECK_EQ(batch.parts.front().request->options.priority, kUrgentPriority);
  const LatencyCurve& curve = fixture.latency.curve(kShapeKey);
  const PolicyConfig& policy = fixture.config.policy;
  const auto times_single = [&](double factor) {
    return static_cast<Nanoseconds>(static_cast<double>(curve.mean_ns(1)) * factor);
  };
  CHECK(batch.rows > 1);  // low rows fill what is free
  CHECK(curve.mean_ns(batch.rows) <= times_single(policy.company_factor));
  fixture.finish(batch);
  REQUIRE(fixture.batcher.form(batch, now + 1000));
  CHECK(curve.mean_ns(batch.rows) <= times_single(policy.occupancy_factor));
  CHECK(batch.rows > 1);
  fixture.finish(batch);
  fill();
  now += policy.arriving_ns + 1;  // the urgent ones have gone away
  REQUIRE(fixture.batcher.form(batch, now));
  CHECK_EQ(batch.rows, 64);
  fixture.finish(batch);
}

TEST(the_earliest_deadline_goes_first_once_deadlines_are_out_of_order) {
  BatcherConfig config;
  config.max_batch_rows = 2;
  Fixture fixture(config);
  const Nanoseconds now = 1'000'000;
  const std::vector<Nanoseconds> due_in_ms{90, 80, 70, 60, 50, 40};
  for (std::size_t i = 0; i < due_in_ms.size(); ++i) {
    REQUIRE(fixture.push(i, 1, kNormalPriority, now + due_in_ms[i] * 1'000'000, now));
  }
  std::vector<std::uint64_t> order;
  Batch batch;
  while (fixture.batcher.form(batch, now)) {
    for (const BatchPart& part : batch.parts) order.push_back(part.request->tag);
    fixture.finish(batch);
  }
  // The second that comes out shows it.
  CHECK((order == std::vector<std::uint64_t>{0, 1, 5, 4, 3, 2}));
}

TEST(what_is_late_is_set_aside_unless_nothing_else_is_there) {
  Fixture fixture;
  teach(fixture.latency, 100'000, 10);
  Batch batch;
  const Nanoseconds now = 1'000'000;
  REQUIRE(fixture.push(1, 1, kNormalPriority, now + 50'000, now));
  REQUIRE(fixture.batcher.form(batch, now));
  CHECK(batch.late.empty());  // perhaps it is quicker than it was
  CHECK_EQ(batch.rows, 1);
  fixture.finish(batch);
  REQUIRE(fixture.push(2, 1, kNormalPriority, now + 50'000, now));
  REQUIRE(fixture.push(3, 1, kNormalPriority, now + 500'000, now));
  REQUIRE(fixture.batcher.form(batch, now));
  REQUIRE(batch.late.size() == 1);
  CHECK_EQ(batch.late.front()->tag, 2U);
  CHECK_EQ(batch.parts.front().request->tag, 3U);
  fixture.finish(batch);
  CHECK(fixture.batcher.is_drained());
}

// More ahead, fewer instances, more rows, a busier or slower model: the wait never gets shorter, so
// whoever is refused is refused in all worse situations too.
TEST(admission_is_monotone) {
  SeededRandom random(5);
  for (int round = 0; round < 2000; ++round) {
    LatencyCurve curve;
    for (std::int64_t rows = 1; rows <= 64; rows *= 4) {
      curve.observe(rows, static_cast<Nanoseconds>(1 + random.below(100'000)));
    }
    const AdmissionQuestion easy{
        .now = 1'000'000,
        .deadline_ns = 1'000'000 + static_cast<Nanoseconds>(random.below(1'000'000)),
        .rows = 1 + static_cast<std::int64_t>(random.below(8)),
        .row_limit = 8 + static_cast<std::int64_t>(random.below(56)),
        .rows_ahead = 1 + static_cast<std::int64_t>(random.below(500)),
        .instances = 1 + static_cast<std::int64_t>(random.below(3)),
        .instance_free_ns = static_cast<Nanoseconds>(random.below(2'000'000)),
        .wait_ratio = 0.5 + static_cast<double>(random.below(4)),
        .curve = &curve};
    AdmissionQuestion hard = easy;
    hard.rows_ahead += static_cast<std::int64_t>(random.below(500));
    hard.instances = 1;
    hard.instance_free_ns += static_cast<Nanoseconds>(random.below(100'000));
    hard.wait_ratio += static_cast<double>(random.below(4));
    CHECK(expected_latency_ns(hard) >= expected_latency_ns(easy));
    CHECK(can_meet_deadline(easy) || !can_meet_deadline(hard));
    hard.deadline_ns = kNoDeadline;
    CHECK(can_meet_deadline(hard));
  }
}

TEST(row_limits_follow_the_curve) {
  SeededRandom random(6);
  for (int round = 0; round < 500; ++round) {
    LatencyCurve curve;
    for (std::int64_t rows = 1; rows <= 64; rows *= 2) {
      curve.observe(rows,
                    static_cast<Nanoseconds>(1'000 + random.below(5'000) +
                                             static_cast<std::size_t>(rows) * random.below(2'000)));
    }
    const PolicyConfig config;
    const std::int64_t alone = held_back_rows(curve, 0, 64, 1, config);
    CHECK(alone >= 1 && alone <= 64);
    CHECK(alone <= held_back_rows(curve, 0, 64, 2, config));  // one of two is free sooner
    const auto budget = static_cast<Nanoseconds>(random.below(200'000));
    const std::int64_t rows = deadline_rows(curve, 1000 + budget, 1000, 1, 64);
    CHECK(rows >= 1 && rows <= 64);
    CHECK(rows == 1 || curve.likely_ns(rows) <= budget);
    CHECK(rows <= deadline_rows(curve, 1000 + 2 * budget, 1000, 1, 64));
    CHECK_EQ(deadline_rows(curve, kNoDeadline, 1000, 1, 64), 64);
    const std::int64_t before = rows_due_before(100, budget, 100'000);
    CHECK(before >= 0 && before <= 100);
    CHECK(before <= rows_due_before(100, budget * 2, 100'000));
    CHECK_EQ(rows_due_before(100, budget, 0), 100);
  }
}

}  // namespace
}  // namespace slipstream
