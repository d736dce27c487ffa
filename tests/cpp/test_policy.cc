// The batch policy on a clock of its own: no threads, no time passes.
#include "core/batch/policy.h"

#include <random>

#include "harness.h"

namespace slipstream {
namespace {

HeadTimes empty_heads() {
  HeadTimes heads;
  heads.fill(kNoDeadline);
  return heads;
}

TEST(the_higher_lane_goes_first_among_equals) {
  HeadTimes heads = empty_heads();
  CHECK_EQ(choose_lane(heads, 100, {}), kNoLane);
  heads[2] = 100;
  heads[7] = 100;
  CHECK_EQ(choose_lane(heads, 100, {}), 7U);
}

TEST(waiting_raises_a_lane_until_it_wins) {
  const PolicyConfig config{.ageing_step_ns = 1000};
  HeadTimes heads = empty_heads();
  heads[0] = 0;
  for (Nanoseconds now = 0; now <= 11'000; now += 500) {
    heads[kLaneCount - 1] = now;  // urgent work never stops arriving
    const std::size_t lane = choose_lane(heads, now, config);
    CHECK_EQ(lane, now > 11'000 ? 0U : kLaneCount - 1);
  }
  heads[kLaneCount - 1] = 11'001;
  CHECK_EQ(choose_lane(heads, 11'001, config), 0U);
}

TEST(no_lane_starves_under_any_load) {
  const PolicyConfig config{.ageing_step_ns = 50};
  std::mt19937_64 random(7);
  HeadTimes heads = empty_heads();
  heads[0] = 0;
  Nanoseconds now = 0;
  for (; heads[0] != kNoDeadline && now < 100'000; ++now) {
    for (std::size_t lane = 1; lane < kLaneCount; ++lane) {
      if (heads[lane] == kNoDeadline && random() % 2 == 0) heads[lane] = now;
    }
    const std::size_t lane = choose_lane(heads, now, config);
    if (lane != kNoLane) heads[lane] = kNoDeadline;
  }
  CHECK(now <= 50 * 12 + 12);
}

TEST(rows_join_only_whole_unless_too_large_for_any_execution) {
  JoinQuestion question{.batch_rows = 3,
                        .batch_row_limit = 8,
                        .candidate_rows = 5,
                        .candidate_row_limit = 8,
                        .same_shape = true};
  CHECK_EQ(rows_that_join(question), 5);
  question.candidate_rows = 6;
  CHECK_EQ(rows_that_join(question), 0);
  question.candidate_rows = 20;
  CHECK_EQ(rows_that_join(question), 5);
  question.is_alone = true;
  CHECK_EQ(rows_that_join(question), 0);
  question.is_alone = false;
  question.same_shape = false;
  CHECK_EQ(rows_that_join(question), 0);
  question = {.batch_rows = 3,
              .batch_row_limit = 8,
              .candidate_rows = 1,
              .candidate_row_limit = 3,
              .same_shape = true};
  CHECK_EQ(rows_that_join(question), 0);
}

// A model that takes 300 ns whatever it is given.
void make_flat(LatencyCurve& curve) {
  for (int i = 0; i < 100; ++i) {
    curve.observe(1, 300);
    curve.observe(64, 300);
  }
}

TEST(admission_refuses_what_would_be_late) {
  LatencyCurve curve;
  make_flat(curve);
  AdmissionQuestion question{.now = 1000,
                             .deadline_ns = 2000,
                             .rows = 1,
                             .row_limit = 4,
                             .rows_ahead = 8,
                             .instances = 1,
                             .curve = &curve};
  CHECK_EQ(expected_wait_ns(question), 600);
  CHECK(can_meet_deadline(question));
  question.rows_ahead = 12;
  CHECK(!can_meet_deadline(question));
  question.instances = 2;
  CHECK(can_meet_deadline(question));
  question.wait_ratio = 2.0;  // things have turned out to take twice as long
  CHECK(!can_meet_deadline(question));
  question.wait_ratio = 1.0;
  question.instance_free_ns = 1500;  // both are busy until then
  CHECK(!can_meet_deadline(question));
  question.instance_free_ns = 0;
  question.rows = 12;  // three executions of its own
  CHECK(!can_meet_deadline(question));
  const LatencyCurve unknown;
  question.curve = &unknown;
  question.rows_ahead = 1'000'000;
  CHECK(can_meet_deadline(question));
}

TEST(an_idle_model_admits_whatever_it_has_learned) {
  LatencyCurve curve;
  make_flat(curve);
  AdmissionQuestion question{
      .now = 1000, .deadline_ns = 1010, .row_limit = 4, .rows_ahead = 0, .curve = &curve};
  CHECK(can_meet_deadline(question));
  question.rows_ahead = 1;
  CHECK(!can_meet_deadline(question));
}

}  // namespace
}  // namespace slipstream
